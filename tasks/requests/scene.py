"""What a context is about: the notes that are asked for, and endless others between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from ... import UserError
from ..ruler.draws import distinct, number, sample_rng, uuid4
from . import words
from .notes import Note, Page, Parcel, Passage, Prose, Route, Variable, Worker

CYCLE = tuple(
    {5: "worker", 9: "parcel", 14: "worker", 19: "parcel", 23: "variable"}.get(place, "prose") for place in range(24)
)
"""The kinds of further notes, over and over."""

LISTED = 3
"""Parcels on the shelf that is asked for."""
COUNTED = (2, 3, 4)
"""How many workers the team that is asked for may have."""
MOST_TWINS = 20
"""Further parcels whose names differ from the twins' in their number alone: every fourth, until there are so many."""
CLAUSES = 3
"""Parts of the passage that is to be copied, seven words each."""

STOPS = 6
"""Towns on the route that is asked for."""

_TRIES = 1000


def digits_64(rng: Random) -> str:
    """64 digits, the first not 0."""
    return str(rng.randint(10**63, 10**64 - 1))


VALUES: dict[str, Callable[[Random], str]] = {"digits": number, "uuid": uuid4, "64": digits_64}
"""The forms that values have."""


class Placed(NamedTuple):
    """A note that is asked for, and the share of the further notes before it."""

    depth: float
    note: Note


class Draws:
    """Names and values, none of them twice. Names do not depend on the form of values."""

    def __init__(self, form: str, length: int, seed: int, context: int, task: str) -> None:
        self.rng = sample_rng(task, length, seed, context)
        self.values = sample_rng(f"{task}/{form}", length, seed, context)
        self._value = VALUES[form]
        self._drawn: set[str] = set()

    def value(self) -> str:
        """A value."""
        return self._fresh(lambda: self._value(self.values))

    def parcel(self) -> str:
        """A parcel's name."""
        return self._fresh(lambda: f"{'-'.join(words.storage_name(self.rng))}-{self.rng.randint(10, 99)}")

    def person(self) -> str:
        """A worker's name."""
        return self._fresh(lambda: words.person(self.rng))

    def variable(self) -> str:
        """A variable's name: two letters and a number."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        return self._fresh(lambda: "".join(self.rng.choices(letters, k=2)) + str(self.rng.randint(10, 99)))

    def prose(self) -> str:
        """A line of prose."""
        return self._fresh(lambda: words.sentence(self.rng))

    def take(self, name: str) -> None:
        """Never draw this name."""
        self._drawn.add(name)

    def _fresh(self, draw: Callable[[], str]) -> str:
        for _ in range(_TRIES):
            if (text := draw()) not in self._drawn:
                self._drawn.add(text)
                return text
        raise UserError("There are not enough different names for notes of this length; ask for a smaller --length.")


@dataclass(frozen=True)
class Scene:
    """The notes that questions are about, and what is asked of them.

    Attributes:
        placed: All of them, with their places.
        shelf: That of the parcels `listed` alone.
        twin: One of them; the name of a parcel on another shelf differs from its in the number alone.
        chain: A variable with a value, another equal to it, and one equal to that.
        counted: The team that no further worker is in.
        frequent: The team of most workers.
        member: A worker of another team.
        route: Towns, the order of which is asked for.
        stop: One of them that another one follows.
    """

    placed: tuple[Placed, ...]
    shelf: str
    listed: tuple[Parcel, ...]
    twin: Parcel
    chain: tuple[Variable, ...]
    counted: str
    frequent: str
    member: Worker
    passage: Passage
    route: Route
    stop: str
    further: "Further"

    def page(self, units: int) -> Page:
        """The context with that many further notes; a larger one has those of a smaller one in the same order."""
        notes: list[Note] = []
        start = 0
        for depth, note in self.placed:
            stop = int(units * depth)
            notes += [*(self.further(place) for place in range(start, stop)), note]
            start = stop
        return Page([*notes, *(self.further(place) for place in range(start, units))])


class Further:
    """Notes that no question asks for; note j is the same at every size. Drawn on first use, in order."""

    def __init__(self, draws: Draws, shelves: list[str], teams: list[str], twins: Iterator[str]) -> None:
        """`teams` in order of their workers' turns, over and over."""
        self.draws, self.shelves, self.teams, self.twins = draws, shelves, teams, twins
        self._notes: list[Note] = []
        self._counts = dict.fromkeys(CYCLE, 0)

    def __call__(self, place: int) -> Note:
        """The note at that place."""
        while len(self._notes) <= place:
            kind = CYCLE[len(self._notes) % len(CYCLE)]
            self._notes.append(self._drawn(kind, self._counts[kind]))
            self._counts[kind] += 1
        return self._notes[place]

    def _drawn(self, kind: str, index: int) -> Note:
        draws = self.draws
        if kind == "prose":
            return Prose(draws.prose())
        if kind == "worker":
            return Worker(draws.person(), self.teams[index % len(self.teams)])
        if kind == "variable":
            return Variable(draws.variable(), draws.value())
        twin = next(self.twins, None) if index % 4 == 1 else None
        return Parcel(twin or draws.parcel(), draws.rng.choice(self.shelves), draws.value())


def drawn_scene(form: str, length: int, seed: int, context: int, task: str) -> Scene:
    """Draws context number `context`; its names are those of the other forms of `task`."""
    draws = Draws(form, length, seed, context, task)
    rng = draws.rng
    shelf, *shelves = rng.sample(words.SHELVES, len(words.SHELVES))
    twin_names = _twin_names(draws)
    names = [draws.parcel() for _ in range(LISTED - 1)]
    listed = tuple(Parcel(name, shelf, draws.value()) for name in (*names, next(twin_names)))
    other = Parcel(next(twin_names), rng.choice(shelves), draws.value())
    first, second, third = (draws.variable() for _ in range(3))
    chain = (Variable(first, draws.value()), Variable(second, first, True), Variable(third, second, True))
    counted, frequent, *others = rng.sample(words.TEAMS, 4)
    n = rng.choice(COUNTED)
    teams = [counted] * n + [frequent] * (n + 1) + others
    workers = [Worker(*pair) for pair in zip(rng.sample(words.FIRST_NAMES, len(teams)), teams, strict=True)]
    passage = Passage(tuple(distinct(lambda: words.clause(rng), CLAUSES)))
    route = Route(tuple(rng.sample(words.TOWNS, STOPS)))
    single: tuple[Note, ...] = (*listed, other, *workers, passage, route)
    placed = [Placed(rng.random(), note) for note in single]
    placed += map(Placed, sorted(rng.random() for _ in chain), chain)
    placed.sort(key=lambda one: one.depth)
    turns = [team for other in others for team in (frequent, other)]
    return Scene(
        placed=tuple(placed),
        shelf=shelf,
        listed=listed,
        twin=listed[-1],
        chain=chain,
        counted=counted,
        frequent=frequent,
        member=rng.choice(workers[-len(others) :]),
        passage=passage,
        route=route,
        stop=rng.choice(route.towns[:-1]),
        further=Further(draws, shelves, turns, twin_names),
    )


def _twin_names(draws: Draws) -> Iterator[str]:
    """Names that differ in their number alone."""
    rng = draws.rng
    pair = "-".join(words.storage_name(rng))
    names = [f"{pair}-{n}" for n in rng.sample(range(10, 100), 2 + MOST_TWINS)]
    for name in names:
        draws.take(name)
    return iter(names)
