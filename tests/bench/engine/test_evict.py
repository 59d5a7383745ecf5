"""An evicted cache answers as the model would if it saw the kept tokens alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.engine.cache import StoreCache
from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.layouts import SHARED
from lukv_bench.bench.engine.packing import Packing
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.ragged_store import RaggedStore
from lukv_bench.kernels.select import stack

N_TOKENS, N_CHUNK, N_STEPS = 63, 9, 6


def chunk_logits(loaded: LoadedModel, cache: StoreCache, chunk: list[int], n_context: int) -> Tensor:
    """Logits [Q, vocabulary] after every token of a chunk."""
    positions = torch.arange(n_context, n_context + len(chunk)).unsqueeze(0)
    with torch.inference_mode():
        out: Tensor = loaded.model(
            torch.tensor([chunk]),
            position_ids=positions,
            past_key_values=cache.chunk(Packing.of([chunk])),
            use_cache=True,
        ).logits[0]
    return out


@pytest.mark.parametrize("room", [0, N_CHUNK + N_STEPS], ids=["no room", "room"])
@pytest.mark.parametrize("seed", [0, 1])
def test_ragged_masked_and_unsplit_agree_over_chunk_and_steps(
    tiny: Any,
    seed: int,
    room: int,
    some_ids: Callable[..., list[int]],
    kept_at_random: Callable[..., Any],
    forced: type,
    unsplit_logits: Callable[..., Tensor],
) -> None:
    ids, chunk, answer = some_ids(N_TOKENS, seed), some_ids(N_CHUNK, seed + 10), some_ids(N_STEPS, seed + 20)
    context = prefill(tiny.loaded, ids, {})
    kept = kept_at_random(tiny.loaded.shape, N_TOKENS, 1, seed)
    masks = [layer.mask for layer in kept]
    expected = unsplit_logits(tiny.plain, [*ids, *chunk, *answer[:-1]], masks)
    full = unsplit_logits(tiny.plain, [*ids, *chunk, *answer[:-1]], [torch.ones_like(mask) for mask in masks])
    assert float((expected - full)[N_TOKENS:].abs().max()) > 0.1, "an eviction that nobody feels tests nothing"

    def caches() -> dict[str, StoreCache]:
        return {"ragged": evict(context, kept, room), "masked": SHARED.build(context, [kept], room)}

    for name, cache in caches().items():
        got = chunk_logits(tiny.loaded, cache, chunk, N_TOKENS)
        error = float((got - expected[N_TOKENS : N_TOKENS + N_CHUNK]).abs().max())
        assert error < 1e-3, f"{name}: chunk off by {error}"
    stepwise = {}
    for name, cache in caches().items():
        teacher = forced([[token] for token in answer])
        decode(tiny.loaded, cache, [chunk], Stop(N_STEPS, frozenset()), teacher)
        stepwise[name] = teacher.seen[:, 0]
        error = float((stepwise[name] - expected[N_TOKENS + N_CHUNK - 1 :]).abs().max())
        assert error < 1e-3, f"{name}: steps off by {error}"
    assert float((stepwise["ragged"] - stepwise["masked"]).abs().max()) < 1e-3


def test_a_chunk_fed_in_pieces_gives_the_logits_of_the_whole(
    tiny: Any, some_ids: Callable[..., list[int]], kept_at_random: Callable[..., Any]
) -> None:
    context, chunk = prefill(tiny.loaded, some_ids(N_TOKENS, 2), {}), some_ids(12, 3)
    kept = kept_at_random(tiny.loaded.shape, N_TOKENS, 1, 2)
    whole = chunk_logits(tiny.loaded, evict(context, kept, 0), chunk, N_TOKENS)
    cache = evict(context, kept, 3)
    pieces = [chunk_logits(tiny.loaded, cache, chunk[a:b], N_TOKENS + a) for a, b in ((0, 5), (5, 6), (6, 12))]
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-3, rtol=0)


def test_one_prefill_serves_many_evictions(
    tiny: Any, some_ids: Callable[..., list[int]], kept_at_random: Callable[..., Any]
) -> None:
    context, chunk = prefill(tiny.loaded, some_ids(N_TOKENS, 4), {}), some_ids(5, 5)
    first = kept_at_random(tiny.loaded.shape, N_TOKENS, 1, 3)
    before = chunk_logits(tiny.loaded, evict(context, first, 0), chunk, N_TOKENS)
    for cache in (evict(context, keep_everything(context), 2), share(context, 1, 2)):
        chunk_logits(tiny.loaded, cache, some_ids(7, 6), N_TOKENS)
    assert torch.equal(chunk_logits(tiny.loaded, evict(context, first, 0), chunk, N_TOKENS), before)


def test_full_ragged_cache_generates_what_the_model_generates(
    tiny: Any, some_ids: Callable[..., list[int]], assert_generates: Callable[..., None]
) -> None:
    for seed in range(3):
        ids, chunk = some_ids(N_TOKENS, 30 + seed), some_ids(N_CHUNK, 40 + seed)
        context = prefill(tiny.loaded, ids, {})
        cache = evict(context, keep_everything(context), 0)
        got = decode(tiny.loaded, cache, [chunk], Stop(24, frozenset())).rows[0].ids
        assert_generates(tiny.plain, [*ids, *chunk], got, 24)


def test_several_configurations_as_a_batch_answer_as_each_alone(
    tiny: Any, some_ids: Callable[..., list[int]], kept_at_random: Callable[..., Any], forced: type
) -> None:
    rows, chunk = 4, some_ids(N_CHUNK, 7)
    script = [some_ids(rows, 50 + step) for step in range(N_STEPS)]
    context = prefill(tiny.loaded, some_ids(N_TOKENS, 8), {})
    each = [kept_at_random(tiny.loaded.shape, N_TOKENS, 1, seed) for seed in range(rows - 1)]
    each.append(keep_everything(context))
    together = forced(script)
    decode(tiny.loaded, SHARED.build(context, each, 1), [chunk] * rows, Stop(N_STEPS, frozenset()), together)
    for row, kept in enumerate(each):
        alone = forced([[step[row]] for step in script])
        decode(tiny.loaded, evict(context, kept, 1), [chunk], Stop(N_STEPS, frozenset()), alone)
        torch.testing.assert_close(together.seen[:, row], alone.seen[:, 0], atol=1e-3, rtol=0)
    assert float((together.seen[0, 0] - together.seen[0, 1]).abs().max()) > 0.01
    ragged, stacked = forced(script), [stack(layers) for layers in zip(*each, strict=True)]
    decode(tiny.loaded, evict(context, stacked, 1), [chunk] * rows, Stop(N_STEPS, frozenset()), ragged)
    torch.testing.assert_close(ragged.seen, together.seen, atol=1e-3, rtol=0)


def test_kept_bytes_are_those_of_the_kept_slots(
    tiny: Any, some_ids: Callable[..., list[int]], kept_at_random: Callable[..., Any]
) -> None:
    shape = tiny.loaded.shape
    context, kept = prefill(tiny.loaded, some_ids(N_TOKENS, 9), {}), kept_at_random(shape, N_TOKENS, 1, 5)
    slots, per_slot = sum(int(layer.mask.sum()) for layer in kept), 2 * shape.head_dim * 4
    tight = evict(context, kept, room=0)
    assert tight.kv_bytes_by_row() == [slots * per_slot]
    assert tight.allocated_bytes == slots * per_slot
    roomy = evict(context, kept, room=50)
    assert roomy.kv_bytes_by_row() == [slots * per_slot]
    decode(tiny.loaded, roomy, [some_ids(N_CHUNK, 0)], Stop(3, frozenset()))
    fed = (N_CHUNK + 2) * shape.n_layers * shape.n_kv_heads
    assert roomy.kv_bytes_by_row() == [(slots + fed) * per_slot]
    assert evict(context, keep_everything(context), 0).kv_bytes_by_row() == [context.kv_bytes]


def test_a_context_that_is_let_go_leaves_the_ragged_cache_whole(
    llama: Any, some_ids: Callable[..., list[int]], kept_at_random: Callable[..., Any]
) -> None:
    context = prefill(llama.loaded, some_ids(N_TOKENS, 10), {})
    kept, chunk = kept_at_random(llama.loaded.shape, N_TOKENS, 1, 6), some_ids(5, 11)
    expected = chunk_logits(llama.loaded, evict(context, kept, 0), chunk, N_TOKENS)
    cache = evict(context, kept, 0)
    assert all(isinstance(store, RaggedStore) for store in cache.stores)
    with torch.inference_mode():
        for tensor in (*context.keys, *context.values):
            tensor.fill_(float("nan"))
    assert torch.equal(chunk_logits(llama.loaded, cache, chunk, N_TOKENS), expected)


def test_keeping_everything_hides_nothing(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    context: Context = prefill(llama.loaded, some_ids(8, 12), {})
    kept = keep_everything(context)
    assert len(kept) == llama.loaded.shape.n_layers
    assert all(layer.mask.all() and layer.mask.shape == (1, 2, 8) for layer in kept)
