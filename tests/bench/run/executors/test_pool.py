"""The pool over workers that are played: whatever dies when, each answer comes once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.errors import WorkerError
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.run.executors.pool import DONE, MOST_DEATHS, READY, Event, Lost, Pool, Refused, Step
from lukv_bench.bench.run.unit import Unit, UnitAnswer, UnitConfiguration

(METHOD,) = build_methods(["full"], [], [], None, None, baselines=False)


def unit(name: str, n_configurations: int = 3) -> Unit:
    configurations = tuple(UnitConfiguration(f"{name}{i}", METHOD) for i in range(n_configurations))
    return Unit(name, (1,), (2,), 3, Stop(max_new_tokens=1, eos=frozenset()), 0, configurations)


@dataclass(eq=False)
class PlayedHand:
    """A worker that says what a script makes it say: True = go on, False = die."""

    place: int
    lives: Iterator[bool]
    coming: list[Event] = field(default_factory=lambda: [READY])
    ended: bool = False

    def give(self, unit: Unit) -> None:
        assert not self.coming, "it is at work"
        self.coming = [Step("prefill")]
        self.coming += [UnitAnswer(configuration_id=one.id, sample_id="", text="x") for one in unit.configurations]
        self.coming.append(DONE)

    def end(self) -> None:
        assert not self.ended
        self.ended = True

    def event(self) -> Event:
        return self.coming.pop(0) if next(self.lives) else Lost("was killed")


@dataclass
class PlayedPlace:
    """Attributes: turn: which of those with something to say speaks first."""

    n_workers: int
    lives: Iterator[bool]
    turn: Callable[[int], int] = lambda n: 0
    started: list[PlayedHand] = field(default_factory=list)

    def start(self, place: int) -> PlayedHand:
        assert place not in {hand.place for hand in self.started if not hand.ended}
        self.started.append(PlayedHand(place, self.lives))
        return self.started[-1]

    def events(self, hands: Sequence[PlayedHand]) -> list[tuple[PlayedHand, Event]]:
        speaking = [hand for hand in hands if hand.coming]
        assert speaking, "it would wait for ever"
        hand = speaking[self.turn(len(speaking))]
        return [(hand, hand.event())]


def always() -> Iterator[bool]:
    while True:
        yield True


def answers(place: PlayedPlace, units: Iterator[tuple[str, Unit]]) -> list[tuple[str, UnitAnswer]]:
    pool = Pool(place)
    try:
        return list(pool.answers(units, lambda key, step: None))
    finally:
        pool.close()
        assert all(hand.ended for hand in place.started), "no worker stays behind"


@given(st.integers(1, 4), st.integers(0, 7), st.lists(st.booleans(), max_size=60), st.randoms(use_true_random=False))
def test_each_answer_comes_once_whoever_dies_when(n_workers: int, n: int, lives: list[bool], draws: object) -> None:
    def script() -> Iterator[bool]:
        yield from lives
        yield from always()

    place = PlayedPlace(n_workers, script(), lambda count: draws.randrange(count))
    try:
        given_back = answers(place, ((name, unit(name)) for name in "abcdefg"[:n]))
    except WorkerError:
        assert lives.count(False) >= MOST_DEATHS * n_workers, "every place was tried so often"
        return
    counts = Counter(answer.configuration_id for _, answer in given_back)
    assert counts == {f"{name}{i}": 1 for name in "abcdefg"[:n] for i in range(3)}
    assert all(key == answer.configuration_id[0] for key, answer in given_back)
    failed = [answer for _, answer in given_back if answer.error]
    if lives.count(False) < MOST_DEATHS:
        assert not failed
    assert all(f"{MOST_DEATHS} workers died at work on this sample" in answer.error for answer in failed)


def test_a_unit_that_kills_every_worker_fails_and_the_others_go_on() -> None:
    class Deadly(PlayedHand):
        def give(self, unit: Unit) -> None:
            super().give(unit)
            if unit.sample_id == "b":
                self.coming = [self.coming[0], self.coming[1], Lost("was killed by SIGKILL")]

    class Place(PlayedPlace):
        def start(self, place: int) -> PlayedHand:
            self.started.append(Deadly(place, self.lives))
            return self.started[-1]

    place = Place(2, always())
    errors = {answer.configuration_id: answer.error for _, answer in answers(place, ((n, unit(n, 5)) for n in "abc"))}
    sentence = "WorkerError: 3 workers died at work on this sample; the last one was killed by SIGKILL"
    assert errors == {
        f"{name}{i}": sentence if (name, i) in (("b", 3), ("b", 4)) else None for name in "abc" for i in range(5)
    }
    assert len(place.started) <= 2 + MOST_DEATHS


def test_units_are_taken_as_workers_become_free_for_them() -> None:
    taken: list[str] = []

    def units() -> Iterator[tuple[str, Unit]]:
        for name in "abcdefgh":
            taken.append(name)
            yield name, unit(name)

    pool = Pool(PlayedPlace(2, always()))
    ahead = []
    done = set[str]()
    for key, answer in pool.answers(units(), lambda key, step: None):
        if answer.configuration_id.endswith("2"):
            done.add(key)
        ahead.append(len(taken) - len(done))
    assert max(ahead) <= 2 + 1, "one for each worker, and the next"
    assert taken == list("abcdefgh")


def test_no_worker_starts_where_there_is_nothing_to_do_and_no_more_than_units() -> None:
    place = PlayedPlace(4, always())
    assert answers(place, iter([])) == []
    assert not place.started
    answers(place, iter([("a", unit("a"))]))
    assert len(place.started) == 1


def test_what_a_worker_refuses_ends_the_run_with_its_sentence() -> None:
    place = PlayedPlace(2, always())
    place.start = lambda index: PlayedHand(index, place.lives, [Refused("the model has another content there.")])
    with pytest.raises(WorkerError, match=r"^the model has another content there\.$"):
        list(Pool(place).answers(iter([("a", unit("a"))]), lambda key, step: None))


def test_steps_are_reported_with_their_unit() -> None:
    steps: list[tuple[str, str]] = []
    list(Pool(PlayedPlace(2, always())).answers(((n, unit(n)) for n in "ab"), lambda *step: steps.append(step)))
    assert steps == [("a", "prefill"), ("b", "prefill")]


def test_the_methods_of_a_unit_are_whole_where_it_is_continued() -> None:
    given_units: list[Unit] = []

    class Hand(PlayedHand):
        def give(self, unit: Unit) -> None:
            given_units.append(unit)
            super().give(unit)

    class Place(PlayedPlace):
        def start(self, place: int) -> PlayedHand:
            self.started.append(Hand(place, self.lives))
            return self.started[-1]

    lives = iter([True, True, True, False, *[True] * 20])  # ready, prefill, one answer, death
    answers(Place(1, lives), iter([("a", unit("a"))]))
    assert [[one.id for one in each.configurations] for each in given_units] == [["a0", "a1", "a2"], ["a1", "a2"]]
    assert all(isinstance(one.method, Method) for each in given_units for one in each.configurations)


def test_where_no_worker_can_start_the_run_ends_with_a_sentence() -> None:
    with pytest.raises(WorkerError, match="no worker can start: the last one was killed while it loaded the model"):
        answers(PlayedPlace(2, iter([False] * 6)), iter([("a", unit("a"))]))
