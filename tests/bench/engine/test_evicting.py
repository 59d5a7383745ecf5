"""A lone method evicts while the context is read: what is alive at any time is what was kept and one layer."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import decode, greedy
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.errors import WriteError
from lukv_bench.bench.methods import eviction
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone, read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.ragged_store import compact
from lukv_bench.scorers.keydiff import KeyDiff

pytestmark = pytest.mark.usefixtures("new_objects_alone")

N_LAYERS, N_TOKENS, HEAD_DIM = 16, 400, 20
N_FED = 12
"""Tokens of question and answer."""
RATIO = "0.8"


@pytest.fixture(scope="module")
def deep(build: Callable[..., LoadedModel], sizes: dict[str, Any]) -> LoadedModel:
    """A tiny model of many layers."""
    of = {**sizes, "num_hidden_layers": N_LAYERS, "hidden_size": 48, "head_dim": HEAD_DIM}
    return prove_attention(build(LlamaConfig(**of, num_attention_heads=6, num_key_value_heads=2)))


def method(allocator: str) -> Method:
    (only,) = build_methods([allocator], ["keydiff"], [Budget(ratio=parse_ratio(RATIO))], None, None, baselines=False)
    return only


def kv_bytes(n_heads: int) -> int:
    """Bytes of all storages alive that hold keys or values of KV heads."""
    tensors = [one for one in gc.get_objects() if issubclass(type(one), Tensor) and one.shape[-1:] == (HEAD_DIM,)]
    held = [one for one in tensors if one.dim() == 2 or one.shape[1] == n_heads]
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in held}.values())


class Peak:
    """Bytes above those at its beginning."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._heads = loaded.shape.n_kv_heads
        gc.collect()
        self._before, self.bytes = kv_bytes(self._heads), 0

    def measure(self) -> None:
        self.bytes = max(self.bytes, kv_bytes(self._heads) - self._before)


@contextmanager
def measured_at_each_store(peak: Peak) -> Iterator[None]:
    """Measure when each layer's store was built, its full keys and values still at hand."""

    def measuring(*arguments: Any, **named: Any) -> Any:
        store = compact(*arguments, **named)
        peak.measure()
        return store

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eviction, "compact", measuring)
        yield


@pytest.mark.parametrize("allocator", ["full", "uniform", "pyramidkv", "adakv"])
def test_at_most_what_is_kept_and_one_layer_are_alive_while_a_context_is_read_and_decoded(
    deep: LoadedModel, some_ids: Callable[..., list[int]], allocator: str
) -> None:
    ids, question = some_ids(N_TOKENS, 0), some_ids(4, 1)
    peak = Peak(deep)
    with measured_at_each_store(peak):
        evicted = evict_alone(deep, ids, method(allocator), 0, N_TOKENS + N_FED)
    full = evicted.full.kv_bytes
    (kept,) = evicted.cache.kv_bytes_by_row()
    spare = evicted.cache.allocated_bytes - kept
    assert full == deep.shape.n_layers * deep.shape.n_kv_heads * N_TOKENS * 2 * HEAD_DIM * 4
    assert kept == pytest.approx(full if allocator == "full" else 0.2 * full, rel=0.01)
    assert spare == pytest.approx(full * N_FED / N_TOKENS)
    assert kept < peak.bytes <= kept + spare + full / N_LAYERS
    decoding_peak = Peak(deep)
    peak_at_start = evicted.cache.allocated_bytes

    def measuring(logits: Tensor, rows: Tensor) -> Tensor:
        decoding_peak.measure()
        return greedy(logits, rows)

    decode(deep, evicted.cache, [question], Stop(N_FED - len(question), frozenset()), measuring)
    assert decoding_peak.bytes <= full / N_LAYERS
    assert evicted.cache.allocated_bytes == peak_at_start


def test_an_allocator_that_needs_all_scores_lets_go_of_the_full_cache_before_decoding(
    deep: LoadedModel, some_ids: Callable[..., list[int]]
) -> None:
    peak = Peak(deep)
    evicted = evict_alone(deep, some_ids(N_TOKENS, 0), method("global"), 0, N_TOKENS + N_FED)
    peak.measure()
    assert peak.bytes == evicted.cache.allocated_bytes


@pytest.mark.parametrize(
    "allocator", ["full", "uniform", "pyramidkv", "adakv", "global", "cake", "shuffled:of=zigzagkv"]
)
def test_a_lone_method_keeps_what_it_keeps_of_a_held_context(
    llama: Any, some_ids: Callable[..., list[int]], allocator: str
) -> None:
    ids, one = some_ids(100, 2), method(allocator)
    alone = evict_alone(llama.loaded, ids, one, 0, 110)
    context = read_context(llama.loaded, ids, [one], 0, 110)
    held = select_kept(llama.loaded, one, context, 0)
    assert alone.selection.keep_counts == held.keep_counts
    for ours, theirs in zip(alone.selection.kept, held.kept, strict=True):
        assert torch.equal(ours.mask, theirs.mask)
    question, stop = some_ids(4, 4), Stop(6, frozenset())
    caches = alone.cache, evict(context, held.kept, 10)
    assert len({tuple(decode(llama.loaded, cache, [question], stop).rows[0].ids) for cache in caches}) == 1
    assert alone.full.kv_bytes == context.kv_bytes
    assert alone.full.prefill_s > 0


def test_a_held_context_lets_go_of_a_layer_when_its_last_store_is_built(
    deep: LoadedModel, some_ids: Callable[..., list[int]]
) -> None:
    one, ids = method("uniform"), some_ids(N_TOKENS, 0)
    context = read_context(deep, ids, [one, method("full")], 0, N_TOKENS + N_FED)
    selection, table = select_kept(deep, one, context, 0), one.table
    assert context.scores.keys() == {table}
    context.drop_tables({""})
    assert not context.scores
    held = Peak(deep)
    leaving = context.for_last_use()
    for layer, (keys, values) in zip(selection.kept, leaving.layers(), strict=True):
        store = compact(keys, values, layer, N_FED)
        del keys, values, store
    gc.collect()
    assert not context.keys
    held.measure()
    assert held.bytes <= 0
    assert context.full.n_tokens == N_TOKENS
    assert_equal(context.read_anew(), read_context(deep, ids, [], 0, N_TOKENS + N_FED))


def assert_equal(mine: Context, theirs: Context) -> None:
    for own, other in zip((*mine.keys, *mine.values), (*theirs.keys, *theirs.values), strict=True):
        assert torch.equal(own, other)


def test_a_scorer_that_writes_is_barred_and_the_next_context_is_read_as_ever(
    llama: Any, some_ids: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    barred: dict[str, Exception] = {}
    real = KeyDiff.score
    with monkeypatch.context() as patch:
        patch.setattr(KeyDiff, "score", lambda self, layer: real(self, layer) + layer.keys.zero_().sum())
        with pytest.raises(WriteError, match="changed the keys of layer 0"):
            evict_alone(llama.loaded, some_ids(50, 3), method("uniform"), 0, 60, barred)
    with pytest.raises(WriteError):
        evict_alone(llama.loaded, some_ids(50, 3), method("uniform"), 0, 60, barred)
    assert evict_alone(llama.loaded, some_ids(50, 3), method("adakv"), 0, 60, barred).selection.kept
