"""Several configurations give the same answers in every layout; what each layout holds; what a cache can be fed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.cache_utils import Cache

from lukv_bench.bench.engine.cache import PrefillLayer, StoreCache
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.packing import Packing
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept

N_CONFIGURATIONS, N_STEPS = 16, 5
Ids = Callable[[int, int], list[int]]


@pytest.fixture(scope="module")
def like_default(build: Callable[..., LoadedModel], sizes: dict[str, Any]) -> LoadedModel:
    """Random weights, and the default model's heads."""
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64}
    return prove_attention(build(LlamaConfig(**sizes, hidden_size=72, **heads)))


def answers(loaded: LoadedModel, ids: list[int], configurations: list[list[Kept]], chunk: list[int]) -> list[Any]:
    """Per layout (generated ids of each row, logits [steps, rows, vocabulary])."""
    context = prefill(loaded, ids, {})

    def answer(layout: Layout) -> tuple[list[list[int]], Tensor]:
        logits: list[Tensor] = []

        def greedy(shown: Tensor, rows: Tensor) -> Tensor:
            logits.append(shown.clone())
            return shown.argmax(dim=-1)

        cache = layout.build(context, configurations, 3)
        rows = decode(loaded, cache, [chunk] * len(configurations), Stop(N_STEPS, frozenset()), greedy).rows
        return [row.ids for row in rows], torch.stack(logits)

    return [answer(layout) for layout in (RAGGED, SHARED)]


@pytest.mark.parametrize("model", ["like_default", "smollm2"])
def test_16_configurations_answer_the_same_in_both_layouts(
    model: str, request: pytest.FixtureRequest, some_ids: Ids, kept_at_random: Callable[..., list[Kept]]
) -> None:
    loaded = request.getfixturevalue(model)
    configurations = [kept_at_random(loaded.shape, 48, 1, seed) for seed in range(N_CONFIGURATIONS)]
    ragged, shared = answers(loaded, some_ids(48, 1), configurations, some_ids(4, 2))
    assert shared[0] == ragged[0]
    torch.testing.assert_close(shared[1], ragged[1], atol=1e-3, rtol=0)
    assert len({tuple(ids) for ids in ragged[0]}) > 1, "configurations that answer alike test nothing"


@pytest.mark.parametrize("layout", [RAGGED, SHARED], ids=lambda layout: layout.name)
def test_bytes_are_reported_as_those_of_the_kept_slots(
    layout: Layout, like_default: LoadedModel, some_ids: Ids, kept_at_random: Callable[..., list[Kept]]
) -> None:
    context = prefill(like_default, some_ids(40, 3), {})
    configurations = [kept_at_random(like_default.shape, 40, 1, seed) for seed in range(4)]
    cache = layout.build(context, configurations, 9)
    slots = [sum(len(layer.positions) for layer in kept) for kept in configurations]
    assert cache.kv_bytes_by_row() == [n * 2 * 64 * 4 for n in slots]


@pytest.mark.usefixtures("new_objects_alone")
def test_16_configurations_over_the_shared_context_hold_little_more_than_the_full_cache(
    like_default: LoadedModel, some_ids: Ids, script: Callable[[str], Any]
) -> None:
    kv_alive = script("kv_alive")
    held = {
        layout.name: kv_alive.alive_over_full(
            like_default, some_ids(480, 4), some_ids(4, 5), 3, partial(kv_alive.together, layout=layout)
        )
        for layout in (RAGGED, SHARED)
    }
    assert 1 < held["shared"] <= 1.3
    assert held["ragged"] > 3, "16 copies of a fifth: what is measured is what is there"


def test_operations_of_a_step_grow_with_the_rows_of_the_ragged_layout_alone(
    like_default: LoadedModel, some_ids: Ids, script: Callable[[str], Any]
) -> None:
    operations_a_step = script("decode_ops").operations_a_step
    ragged, shared = (
        [operations_a_step(like_default, layout, some_ids(40, 1), some_ids(4, 2), n_rows) for n_rows in (4, 16)]
        for layout in (RAGGED, SHARED)
    )
    assert shared[0] == shared[1]
    segments = 12 * like_default.shape.n_layers * like_default.shape.n_kv_heads
    assert 0 < ragged[1] - ragged[0] <= 8 * segments, "two products, a softmax, two maxima and three views a segment"


def logits_of(loaded: LoadedModel, cache: StoreCache, ids: list[int], n_seen: int) -> Tensor:
    positions = torch.arange(n_seen, n_seen + len(ids)).unsqueeze(0)
    chunk = cache.chunk(Packing.of([ids]))
    with torch.inference_mode():
        out: Tensor = loaded.model(torch.tensor([ids]), position_ids=positions, past_key_values=chunk).logits[0]
    return out


@pytest.mark.parametrize("layout", [RAGGED, SHARED], ids=lambda layout: layout.name)
def test_tokens_taken_back_leave_no_trace(
    layout: Layout, like_default: LoadedModel, some_ids: Ids, kept_at_random: Callable[..., list[Kept]]
) -> None:
    context = prefill(like_default, some_ids(30, 6), {})
    kept, question, other = kept_at_random(like_default.shape, 30, 1, 7), some_ids(5, 8), some_ids(4, 9)
    cache = layout.build(context, [kept], 2)
    logits_of(like_default, cache, [*question[:2], *other], 30)
    cache.take_back(torch.tensor([4]))
    assert cache.n_seen.tolist() == [32]
    expected = logits_of(like_default, layout.build(context, [kept], 2), question, 30)[2:]
    torch.testing.assert_close(logits_of(like_default, cache, question[2:], 32), expected, atol=1e-4, rtol=0)


def test_a_second_chunk_is_refused(
    like_default: LoadedModel, some_ids: Ids, kept_at_random: Callable[..., list[Kept]]
) -> None:
    def feed(cache: Cache) -> None:
        like_default.model(torch.tensor([some_ids(8, 0)]), past_key_values=cache, use_cache=True)

    reading = Cache(layers=[PrefillLayer(index, lambda *_: None) for index in range(like_default.shape.n_layers)])
    context = prefill(like_default, some_ids(30, 6), {})
    stored = RAGGED.build(context, [kept_at_random(like_default.shape, 30, 1, 7)], 16).chunk(Packing(torch.tensor([8])))
    for cache in (reading, stored):
        feed(cache)
        with pytest.raises(RuntimeError, match=r"^layer 0 was fed a second chunk in one forward pass$"):
            feed(cache)
