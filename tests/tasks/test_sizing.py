import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.sizing import Size, largest_fit, least_length


class Prompt:
    """A fixed part and units of uneven cost; the joint of units may save a token here and there."""

    def __init__(self, fixed: int, unit: float, spread: float, seed: int, wobble: int) -> None:
        self.fixed, self.unit, self.spread, self.seed, self.wobble = fixed, unit, spread, seed, wobble
        self.counted: list[int] = []

    def tokens(self, units: int) -> int:
        rng = random.Random(f"{self.seed}/{units}")
        drift = self.spread * self.unit * units**0.5
        return self.fixed + int(self.unit * units + drift) + rng.randint(-self.wobble, self.wobble)

    def __call__(self, units: int) -> int:
        self.counted.append(units)
        return self.tokens(units)


prompts = st.builds(
    Prompt,
    fixed=st.integers(20, 300),
    unit=st.floats(0.2, 120),
    spread=st.floats(-1, 3),
    seed=st.integers(0, 9),
    wobble=st.integers(0, 3),
)


@given(prompt=prompts, room=st.integers(384, 200_000), first_step=st.integers(1, 500))
def test_it_fits_fills_and_ends(prompt: Prompt, room: int, first_step: int) -> None:
    start = Size(1, prompt.tokens(1))
    if start.tokens > room:
        return
    units = largest_fit(prompt, start, room=room, first_step=first_step).units
    assert prompt.tokens(units) <= room
    one_unit = prompt.tokens(units + 1) > room
    assert one_unit or room - prompt.tokens(units) <= 0.05 * room
    assert len(prompt.counted) <= 6 + 2 * (16 * room).bit_length()


@given(prompt=prompts, room=st.integers(4_000, 200_000))
def test_real_tokenizers_are_counted_a_handful_of_times(prompt: Prompt, room: int) -> None:
    prompt.spread = min(max(prompt.spread, 0), 0.5)
    largest_fit(prompt, Size(1, prompt.tokens(1)), room=room, first_step=50)
    assert len(prompt.counted) <= 6 + 8  # guesses, then bisection of the last few units


@pytest.mark.parametrize("constant", [0, 7])
def test_a_tokenizer_that_counts_nothing_is_an_error_not_an_endless_loop(constant: int) -> None:
    with pytest.raises(UserError, match="counts"):
        largest_fit(lambda units: constant, Size(1, constant), room=3968, first_step=8)


def test_a_start_that_fills_the_room_stays() -> None:
    assert largest_fit(lambda units: 400 * units, Size(1, 400), room=400, first_step=8).units == 1
    assert largest_fit(lambda units: 250 * units, Size(1, 250), room=400, first_step=8).units == 1


def test_the_least_length_holds_at_itself() -> None:
    def needed(length: int) -> int:
        return 300 + length % 7  # every length draws other samples

    least = least_length(needed, 10)
    assert needed(least) <= least <= 310
