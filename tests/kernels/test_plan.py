"""Work items cover every slot once, whatever the lengths become, and the programs' shares are equal."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.kernels.ragged_attention.plan import Plan, balanced

lengths = st.lists(st.integers(0, 900), min_size=1, max_size=12)


def slots_of(plan: Plan, program: int, now: list[int]) -> list[tuple[int, int]]:
    """(segment, slot) of all that a program reads."""
    first, last = plan.of_program[program : program + 2].tolist()
    items = plan.items.T[first:last].tolist()
    return [(s, slot) for s, start, stop in items for slot in range(start, min(stop, now[s]))]


@given(lengths, st.integers(1, 20), st.sampled_from([16, 64]), st.integers(-50, 200))
def test_every_slot_is_read_once_also_after_the_segments_have_grown_or_shrunk(
    then: list[int], n_programs: int, block: int, growth: int
) -> None:
    now = [max(n + growth, 0) for n in then]
    plan = balanced(torch.tensor(then), n_programs, block)
    read = [slot for program in range(n_programs) for slot in slots_of(plan, program, now)]
    assert read == [(s, slot) for s, n in enumerate(now) for slot in range(n)]
    assert plan.items.shape == (3, n_programs + len(then))
    assert plan.of_program.shape == (n_programs + 1,)


@given(lengths, st.integers(1, 20), st.sampled_from([16, 64]))
def test_the_items_of_a_segment_follow_each_other_and_there_is_one_at_least(
    then: list[int], n_programs: int, block: int
) -> None:
    plan = balanced(torch.tensor(then), n_programs, block)
    n_items = int(plan.of_segment[-1])
    assert n_items == int(plan.of_program[-1])
    expected = [s for s, n in enumerate(plan.of_segment.diff().tolist()) for _ in range(n)]
    assert plan.items[0, :n_items].tolist() == expected
    assert set(expected) == set(range(len(then)))


@given(lengths, st.integers(1, 20), st.sampled_from([16, 64]))
def test_no_program_has_two_blocks_more_than_the_mean(then: list[int], n_programs: int, block: int) -> None:
    """An item counts as a block."""
    plan = balanced(torch.tensor(then), n_programs, block)
    mean = sum(-(-n // block) + 1 for n in then) / n_programs
    for program in range(n_programs):
        slots = slots_of(plan, program, then)
        assert len({(s, slot // block) for s, slot in slots}) + len({s for s, _ in slots}) <= mean + 2


def test_one_head_that_holds_nearly_everything_is_shared_by_all_programs() -> None:
    then = [20_000, 0, 1, 30]
    plan = balanced(torch.tensor(then), 16)
    shares = [len(slots_of(plan, program, then)) for program in range(16)]
    assert max(shares) <= 1.03 * sum(shares) / 16


def test_a_plan_is_the_same_on_a_device() -> None:
    plan = balanced(torch.tensor([[300, 0], [7, 90]]), 5, 16)
    moved = plan.to(torch.device("cpu"))
    for name in ("items", "of_program", "of_segment"):
        assert torch.equal(getattr(plan, name), getattr(moved, name))
