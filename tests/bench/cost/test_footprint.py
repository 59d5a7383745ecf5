"""The footprint against a count of every slot at every step."""

import pytest

from lukv_bench.bench.cost.footprint import kv_footprint


def counted(n_context: int, n_heads: int, kept: list[int], evicted_after: list[int], n_fed: int) -> float:
    """Slot by slot.

    Args:
        kept: Per layer the slots that all of its heads keep.
        evicted_after: Per layer the layer with which it is evicted.
    """
    n_layers = len(kept)
    ours = full = 0.0
    for layer in range(n_layers):
        for _ in range(n_context):  # its T / L steps, a L-th each
            for other in range(layer + 1):
                is_whole = evicted_after[other] >= layer
                ours += (n_heads * n_context if is_whole else kept[other]) / n_layers
                full += n_heads * n_context / n_layers
    for fed in range(1, n_fed + 1):
        for other in range(n_layers):
            ours += kept[other] + n_heads * fed
            full += n_heads * (n_context + fed)
    return ours / full


def held(n_context: int, n_heads: int, kept: list[int], evicted_after: list[int]) -> list[int]:
    whole = n_heads * n_context
    return [
        sum(whole if evicted_after[other] >= layer else kept[other] for other in range(layer + 1))
        for layer in range(len(kept))
    ]


@pytest.mark.parametrize(
    ("kept", "evicted_after"),
    [
        ([20, 20, 20], [0, 1, 2]),  # layer by layer
        ([5, 31, 9], [0, 1, 2]),
        ([20, 20, 20], [2, 2, 2]),  # after the prefill
        ([40, 40, 40], [0, 1, 2]),  # nothing
    ],
)
@pytest.mark.parametrize("n_fed", [1, 7])
def test_it_is_the_share_of_slots_times_steps(kept: list[int], evicted_after: list[int], n_fed: int) -> None:
    slots = held(20, 2, kept, evicted_after)
    assert kv_footprint(slots, 20, 6, sum(kept), n_fed) == pytest.approx(
        counted(20, 2, kept, evicted_after, n_fed), rel=1e-12
    )


def test_the_full_cache_is_one_and_evicting_during_the_prefill_is_less_than_after_it() -> None:
    def footprint(evicted_after: list[int], kept: int = 8) -> float:
        return kv_footprint(held(20, 2, [kept] * 3, evicted_after), 20, 6, 3 * kept, 10)

    assert footprint([0, 1, 2], kept=40) == 1
    assert footprint([0, 1, 2]) < footprint([2, 2, 2]) < 1


def counted_in_blocks(n_context: int, block: int, n_heads: int, most: list[int], n_fed: int) -> tuple[float, list[int]]:
    """Slot by slot, with what is held at each layer of each block: a head keeps at most `most[layer]` slots, and the
    others are freed when the block has passed all layers."""
    n_layers, ours, full, seen = len(most), 0.0, 0.0, list[int]()
    slots = [0] * n_layers
    for start in range(0, n_context, block):
        n = min(block, n_context - start)
        for layer in range(n_layers):
            slots[layer] += n
            seen.append(n_heads * sum(slots))
            for _ in range(n):  # its n / L steps, a L-th each
                ours += n_heads * sum(slots) / n_layers
        slots = [min(held, n_most) for held, n_most in zip(slots, most, strict=True)]
    for layer in range(n_layers):
        for _ in range(n_context):
            full += (layer + 1) * n_heads * n_context / n_layers
    for fed in range(1, n_fed + 1):
        ours += n_heads * sum(held + fed for held in slots)
        full += n_layers * n_heads * (n_context + fed)
    return ours / full, seen


@pytest.mark.parametrize("block", [1, 7, 20, 25])
@pytest.mark.parametrize("most", [[6, 6, 6], [2, 11, 5], [20, 20, 20]])
def test_blocks_count_as_many_steps_as_they_have_tokens(block: int, most: list[int]) -> None:
    expected, seen = counted_in_blocks(20, block, 2, most, 7)
    footprint = kv_footprint(seen, 20, 6, 2 * sum(most), 7, block)
    assert footprint == pytest.approx(expected, rel=1e-12)
    assert block < 20 or footprint == kv_footprint(seen, 20, 6, 2 * sum(most), 7)
