"""Answers units by several workers, any of which may die: what each is at work on, and what becomes of it then."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from ...errors import WorkerError
from ..unit import Unit, UnitAnswer
from .base import K, StepReport

MOST_DEATHS = 3
"""Workers that may die on one unit before its answers fail, or in one place before they are ready."""


@dataclass(frozen=True)
class Step:
    """A step begins on the unit in hand."""

    name: str


@dataclass(frozen=True)
class Refused:
    """The worker cannot serve this run, as a sentence."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """The worker is gone, as part of a sentence: "was killed by signal 9"."""

    reason: str


READY: Final = "ready"
DONE: Final = "done"

Event = Step | UnitAnswer | Refused | Lost | Literal["ready", "done"]
"""What comes from a worker: it is ready for units, a step or an answer of the unit in hand, the end of that unit."""


class Hand(Protocol):
    """One worker, wherever it runs. It works on one unit at a time."""

    def give(self, unit: Unit) -> None:
        """Have it answer a unit; if it has died, that shows in its events alone."""
        ...

    def end(self) -> None:
        """End it at once, whatever it does."""
        ...


H = TypeVar("H", bound=Hand)


class Workplace(Protocol[H]):
    """Where workers run.

    Attributes:
        n_workers: Places for them, each for one at a time.
    """

    @property
    def n_workers(self) -> int: ...  # noqa: D102

    def start(self, place: int) -> H:
        """Start a worker in a place: 0, 1, ..., n_workers - 1."""
        ...

    def events(self, hands: Sequence[H]) -> list[tuple[H, Event]]:
        """Wait until something comes from any of these workers; nothing comes from one after `Lost` and `Refused`."""
        ...


@dataclass(eq=False)
class Job:
    """A unit that was taken and is not answered.

    Attributes:
        key: Of the unit, for the driver.
        unit: With the configurations that are still to be answered.
        n_deaths: Workers that died on it.
    """

    key: Any
    unit: Unit
    n_deaths: int = 0

    def remove(self, answer: UnitAnswer) -> None:
        """Take note of an answer, which need not be given again if the worker dies."""
        self.unit = self.unit.without(answer)

    def failures(self, reason: str) -> Iterator[UnitAnswer]:
        """The answers that will not come."""
        for unit in self.unit.apart():
            for configuration in unit.configurations:
                yield UnitAnswer.failure(configuration, unit, reason)


@dataclass(eq=False)
class Member(Generic[H]):
    """A worker in its place.

    Attributes:
        is_ready: Whether it takes units.
        job: What it is at work on.
    """

    place: int
    hand: H
    is_ready: bool = False
    job: Job | None = None


@dataclass(eq=False)
class Pool(Generic[H]):
    """An executor of several workers. A worker that dies costs the unit in hand: another continues with it.

    Workers start with the units that need them, and stay until the pool is closed.

    Attributes:
        workplace: Where they run.
        members: Those that are alive.
        waiting: Units that were taken and not given, or whose worker died.
        n_failed_starts: By place, workers that died one after the other before they were ready.
    """

    workplace: Workplace[H]
    members: list[Member[H]] = field(default_factory=list)
    waiting: deque[Job] = field(default_factory=deque)
    n_failed_starts: dict[int, int] = field(default_factory=dict)

    def answers(self, units: Iterator[tuple[K, Unit]], report: StepReport[K]) -> Iterator[tuple[K, UnitAnswer]]:
        """As `Executor.answers`. One unit more than there are free workers is held, so that none waits for the next."""
        while True:
            self._take(units)
            self._give()
            if not any(member.job for member in self.members) and not self.waiting:
                return
            by_hand = {id(member.hand): member for member in self.members}
            for hand, event in self.workplace.events([member.hand for member in self.members]):
                yield from self._handle(by_hand[id(hand)], event, report)

    def close(self) -> None:
        """End every worker."""
        while self.members:
            self.members[-1].hand.end()
            self.members.pop()

    def _take(self, units: Iterator[tuple[K, Unit]]) -> None:
        n_free = self.workplace.n_workers - sum(member.job is not None for member in self.members)
        while len(self.waiting) <= n_free and (taken := next(units, None)) is not None:
            self.waiting.append(Job(*taken))

    def _give(self) -> None:
        """Give the units that wait to free workers, and start workers for the rest, where there are places."""
        for member in self.members:
            if self.waiting and member.is_ready and member.job is None:
                member.job = self.waiting.popleft()
                member.hand.give(member.job.unit)
        taken = {member.place for member in self.members}
        n_starting = sum(not member.is_ready for member in self.members)
        open_places = [place for place in self._usable_places() if place not in taken]
        for place in open_places[: max(0, len(self.waiting) - n_starting)]:
            self.members.append(Member(place, self.workplace.start(place)))

    def _usable_places(self) -> list[int]:
        places = range(self.workplace.n_workers)
        return [place for place in places if self.n_failed_starts.get(place, 0) < MOST_DEATHS]

    def _handle(self, member: Member[H], event: Event, report: StepReport[K]) -> Iterator[tuple[K, UnitAnswer]]:
        """The answers that an event brings.

        Raises:
            WorkerError: the worker refuses, or it was the last and none can be started.
        """
        job = member.job
        if event == READY:
            member.is_ready = True
            self.n_failed_starts[member.place] = 0
        elif event == DONE:
            member.job = None
        elif isinstance(event, Refused):
            raise WorkerError(event.reason)
        elif isinstance(event, Lost):
            member.hand.end()
            self.members.remove(member)
            yield from self._continue_without(member, event.reason)
        elif job is not None and isinstance(event, Step):
            report(job.key, event.name)
        elif job is not None and isinstance(event, UnitAnswer):
            job.remove(event)
            yield job.key, event

    def _continue_without(self, member: Member[H], reason: str) -> Iterator[tuple[K, UnitAnswer]]:
        """Leave to another worker what a dead one was at work on; the answers that fail instead."""
        job = member.job
        if not member.is_ready:
            self.n_failed_starts[member.place] = self.n_failed_starts.get(member.place, 0) + 1
            if not self.members and not self._usable_places():
                raise WorkerError(
                    f"no worker can start: the last one {reason} while it loaded the model; what was answered is "
                    "stored. Use fewer --workers or a smaller model."
                )
        elif job is not None and job.unit.apart():
            job.n_deaths += 1
            if job.n_deaths < MOST_DEATHS:
                self.waiting.appendleft(job)
                return
            sentence = f"WorkerError: {MOST_DEATHS} workers died at work on this sample; the last one {reason}"
            yield from ((job.key, answer) for answer in job.failures(sentence))
