"""What a run's progress says is left, on a clock of the test's own."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from lukv_bench.bench.run.meter import Meter, _Left
from lukv_bench.bench.run.remaining import Load, Pace
from lukv_bench.bench.run.unit import Seconds, UnitAnswer

LOAD = Load(("niah", 512), 500, 10, 128)


@dataclass
class Running:
    """A meter over three samples with two cells each, and a clock that the test sets."""

    now: float = 0.0
    shown: list[tuple[Any, ...]] = field(default_factory=list)
    samples: Any = field(default_factory=object)

    def __post_init__(self) -> None:
        left = {id(self.samples): _Left(LOAD, 3, 6)}
        self.meter = Meter(6, lambda *step: self.shown.append(step), Pace(6000), left, lambda: self.now)

    def take(self, key: Any) -> None:
        self.meter.take(self.samples, key, 2)
        self.meter.begin(key, "prefill")

    def answer(self, key: Any, prefill_s: float | None = 4.0) -> None:
        answer = UnitAnswer(
            configuration_id="c", sample_id="s", n_generated_tokens=10, seconds=Seconds(prefill_s=prefill_s)
        )
        self.meter.answered(key, answer, "sample")


def test_a_sample_is_four_seconds_of_prefill_and_three_of_each_cell() -> None:
    run = Running()
    run.take("a")
    run.now = 7
    run.answer("a")
    assert run.meter.remaining_s() is None
    run.now = 10
    run.answer("a")
    assert run.shown[-1] == ("sample", 2, 6, pytest.approx(2 * 10))
    run.take("b")
    run.now = 15  # five seconds into the next
    assert run.meter.remaining_s() == pytest.approx(15)


def test_two_samples_at_once_take_half_the_time() -> None:
    run = Running()
    for key in ("a", "b"):
        run.take(key)
    run.now = 10
    for key in ("a", "a", "b", "b"):
        run.answer(key)
    assert run.meter.remaining_s() == pytest.approx(10 / 2)


def test_answers_that_take_no_work_leave_none() -> None:
    run = Running()
    run.take("a")
    run.now = 10
    run.answer("a")
    run.answer("a")
    run.meter.drop(run.samples, 2, n_samples=1)
    assert run.shown[-1][1:3] == (2, 6)
    assert (run.meter.done, run.meter.remaining_s()) == (4, pytest.approx(10))


def test_a_sample_whose_answers_all_failed_teaches_nothing() -> None:
    run = Running()
    run.take("a")
    run.now = 1
    run.answer("a", prefill_s=None)
    run.answer("a", prefill_s=None)
    assert run.meter.remaining_s() is None
