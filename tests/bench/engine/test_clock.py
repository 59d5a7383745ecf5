"""Seconds of work on a CUDA device come from events on its stream, and nothing waits before they are asked for."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from lukv_bench.bench.engine import clock
from lukv_bench.bench.engine.clock import Laps, Marks

CUDA = torch.device("cuda", 0)


@dataclass
class Stream:
    """A device whose queue takes as long as it is told to."""

    at_ms: float = 0.0
    waits: list[float] = field(default_factory=list)

    def work(self, ms: float) -> None:
        self.at_ms += ms


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    made = Stream()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.ms = -1.0

        def record(self, on: Any) -> None:
            self.ms = on.at_ms

        def synchronize(self) -> None:
            made.waits.append(self.ms)

        def elapsed_time(self, end: Any) -> float:
            return float(end.ms - self.ms)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(clock.torch.cuda, "Event", Event)
    monkeypatch.setattr(clock.torch.cuda, "current_stream", lambda device: made)
    return made


def test_laps_add_up_what_the_device_did_within_them(stream: Stream) -> None:
    laps = Laps()
    for ms in (3.0, 4.0):
        stream.work(100)
        with laps.lap(CUDA):
            stream.work(ms)
    assert stream.waits == []
    assert laps.seconds == pytest.approx(0.007)
    assert laps.seconds == pytest.approx(0.007)
    assert stream.waits == [103.0, 207.0]


def test_a_lap_that_raises_counts(stream: Stream) -> None:
    laps = Laps()

    def broken() -> None:
        with laps.lap(CUDA):
            stream.work(2)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        broken()
    assert laps.seconds == pytest.approx(0.002)


def test_marks_give_the_seconds_between_them_and_wait_for_the_last_alone(stream: Stream) -> None:
    marks = Marks(CUDA)
    for ms in (0.0, 5.0, 1.0):
        stream.work(ms)
        marks.add()
    assert marks.intervals() == pytest.approx([0.005, 0.001])
    assert stream.waits == [6.0]


def test_on_a_cpu_it_is_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 11.5, 20.0, 20.25, 30.0, 30.5])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(times))
    laps, marks = Laps(), Marks(torch.device("cpu"))
    for _ in range(2):
        with laps.lap(torch.device("cpu")):
            pass
    marks.add()
    marks.add()
    assert laps.seconds == pytest.approx(1.75)
    assert marks.intervals() == pytest.approx([0.5])
