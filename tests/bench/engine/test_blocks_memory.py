"""What is alive while a context is read in blocks, and a scorer that writes into it."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig

from lukv_bench.bench.engine.blocks import BlockPrefill, read_blocks
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.trimming import Trim
from lukv_bench.bench.errors import WriteError
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.keydiff import KeyDiff

SINK, WINDOW = 4, 1


def kv_bytes(head_dim: int, n_heads: int) -> int:
    """Bytes of all storages alive that hold keys or values of KV heads."""
    tensors = [one for one in gc.get_objects() if issubclass(type(one), Tensor) and one.shape[-1:] == (head_dim,)]
    held = [one for one in tensors if one.dim() == 2 or one.shape[1] == n_heads]
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in held}.values())


@dataclass(frozen=True)
class Measuring:
    """Ranks as KeyDiff, and counts the bytes of keys and values that are alive."""

    peaks: list[int]
    source: ClassVar[str] = ""
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(SINK, WINDOW)

    def score(self, layer: LayerView) -> Tensor:
        self.peaks.append(kv_bytes(layer.keys.shape[-1], layer.keys.shape[1]))
        return KeyDiff().score(layer)


@pytest.mark.usefixtures("new_objects_alone")
def test_what_is_kept_one_block_and_a_layer_that_is_scored_are_alive_while_a_context_is_read(
    build: Callable[..., LoadedModel], sizes: dict[str, Any], some_ids: Callable[..., list[int]]
) -> None:
    n_layers, n_heads, head_dim, n_tokens, block, n_kept = 8, 2, 20, 320, 32, 64
    of = {**sizes, "num_hidden_layers": n_layers, "hidden_size": 48, "head_dim": head_dim}
    loaded = prove_attention(build(LlamaConfig(**of, num_attention_heads=6, num_key_value_heads=n_heads)))
    counts = torch.full((n_layers, 1, n_heads), n_kept)
    measuring = Measuring([])
    gc.collect()
    before = kv_bytes(head_dim, n_heads)
    trim = Trim(measuring, lambda: counts, measuring.protection, n_kept)
    record = read_blocks(BlockPrefill(loaded, tuple(some_ids(n_tokens, 0)), n_tokens + 10, block, trim))
    slot = 2 * n_heads * head_dim * 4
    most = n_layers * (n_kept + block) * slot
    of_a_layer = (n_kept + 2 * block) * slot  # the scored layer side by side, and its block as the model made it
    assert len(measuring.peaks) == n_layers * (n_tokens - n_kept) // block
    assert most <= max(measuring.peaks) - before <= most + of_a_layer
    assert max(measuring.peaks) - before < n_layers * n_tokens * slot / 2
    assert record.cache.allocated_bytes == n_layers * (n_kept + 10) * slot


@dataclass(frozen=True)
class Writing:
    """Ranks as KeyDiff, and overwrites a key."""

    source: ClassVar[str] = ""
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(SINK, WINDOW)

    def score(self, layer: LayerView) -> Tensor:
        scores = KeyDiff().score(layer)
        layer.keys[0, 0, 0] = 0
        return scores


def test_a_scorer_that_writes_is_not_called_again(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    budgets = [Budget(ratio=parse_ratio("0.8"))]
    (one,) = build_methods(["uniform"], ["keydiff"], budgets, None, None, False, [Schedule(16)])
    barred = dict[str, Exception]()
    assert one.scorer is not None
    one = replace(one, scorer=replace(one.scorer, instance=Writing()))
    for _ in range(2):
        with pytest.raises(WriteError, match="keys of layer 0"):
            evict_alone(llama.loaded, some_ids(100, 0), one, 0, 100 + 1, barred)
    assert list(barred) == [one.label]
