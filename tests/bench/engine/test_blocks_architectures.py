"""Models with sliding windows, softcaps, sinks, borrowed keys and values and recurrent states are fed in blocks as in
one pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.engine.blocks import BlockPrefill
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.eviction_times import EvictionTimes
from lukv_bench.bench.engine.masked_blocks import read_masked
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.blockwise import evict_in_blocks
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import ONE_SHOT, Schedule

N_CONTEXT, N_ANSWER = 90, 6
"""More than two windows."""
HYBRID = ["qwen3_next", "falcon_h1"]


@pytest.mark.parametrize("model_type", ["gpt_oss", "gemma3n_text", "gemma4_text with borrowed layers", *HYBRID])
def test_blocks_that_evict_nothing_answer_as_the_full_cache(
    script: Callable[[str], Any], forced: Any, some_ids: Callable[..., list[int]], tmp_path: Path, model_type: str
) -> None:
    tiny = script("tiny_architectures")
    tiny.save_tiny(model_type, tmp_path)
    loaded = ready_model(str(tmp_path), torch.device("cpu"), "float32")
    ids, question, answer = some_ids(N_CONTEXT, 0), some_ids(5, 1), [[token] for token in some_ids(N_ANSWER, 2)]
    (full,) = build_methods(["full"], [], [], None, None, False)
    budgets = [Budget(ratio=parse_ratio("0"))]
    blocks = build_methods(["uniform"], ["knorm"], budgets, None, None, False, [Schedule(16), Schedule(64)])
    logits = []
    for method in (full, *blocks):
        evicted = evict_alone(loaded, ids, method, 0, N_CONTEXT + 20)
        chosen = forced(answer)
        decode(loaded, evicted.cache, [question], Stop(N_ANSWER, frozenset()), chosen)
        logits.append(chosen.seen)
    for ours in logits[1:]:
        assert torch.allclose(ours, logits[0], atol=1e-3 * float(logits[0].std()))
    budgets = [Budget(ratio=parse_ratio("0.5"))]
    pair = build_methods(["uniform"], ["knorm"], budgets, None, None, False, [Schedule(16), ONE_SHOT])
    ours, one_shot = (evict_alone(loaded, ids, method, 0, N_CONTEXT + 20) for method in pair)
    assert ours.full.kv_bytes == one_shot.full.kv_bytes
    assert ours.cache.kv_bytes_by_row() == one_shot.cache.kv_bytes_by_row()
    assert ours.selection.keep_counts == one_shot.selection.keep_counts
    times = EvictionTimes.of(loaded, N_CONTEXT)
    n_sequence = N_CONTEXT + 20
    evicted = evict_in_blocks(loaded, ids, pair[0], 16, 0, n_sequence, {}, times=times)
    masked = read_masked(BlockPrefill(loaded, tuple(ids), n_sequence, 16, None), times)
    logits = []
    for cache in (evicted.cache, masked):
        chosen = forced(answer)
        decode(loaded, cache, [question], Stop(N_ANSWER, frozenset()), chosen)
        logits.append(chosen.seen)
    assert torch.allclose(*logits, atol=1e-3 * float(logits[0].std()))
