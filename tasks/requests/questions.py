"""The kinds of questions about a context, each with one right answer that stands in it or is counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .notes import Note, Page, Parcel
from .scene import Scene
from .words import TEAMS, TOWNS


@dataclass(frozen=True)
class Question:
    """A question and its answer.

    Attributes:
        text: The question.
        prefix: The first words of the answer.
        answers: The references, all of them expected.
        evidence: The notes that the answer follows from.
        choices: What an answer chooses among; the first that it names counts. Empty where it is no choice.
        copied: Whether the answer is a text of the context.
        ending: What follows the answer in a sentence.
    """

    text: str
    prefix: str
    answers: tuple[str, ...]
    evidence: tuple[Note, ...]
    choices: tuple[str, ...] = ()
    copied: bool = True
    ending: str = "."

    @property
    def whole_answer(self) -> str:
        """The right answer as a sentence."""
        return f"{self.prefix} {', '.join(self.answers)}{self.ending}"


COUNTS = tuple(map(str, range(1, 21)))
"""What the answer to a count chooses among."""


def _code_of(parcel: Parcel) -> Question:
    about = f"the code of {parcel.title}"
    return Question(f"What is {about}?", f"T{about[1:]} is", (parcel.code,), (parcel,))


def _value(scene: Scene, page: Page) -> Question:
    return _code_of(scene.listed[0])


def _key(scene: Scene, page: Page) -> Question:
    parcel = scene.listed[1]
    return Question(
        f"Which parcel on the {parcel.shelf} shelf has the code {parcel.code}?",
        f"The code {parcel.code} is the code of parcel",
        (parcel.name,),
        (parcel,),
    )


def _variable(scene: Scene, page: Page) -> Question:
    name, value = scene.chain[-1].name, scene.chain[0].value
    return Question(
        f"What is the value of variable {name}?",
        f"The value of variable {name} is",
        (value,),
        scene.chain,
    )


def _count(scene: Scene, page: Page) -> Question:
    counted = tuple(worker for worker in page.workers if worker.team == scene.counted)
    return Question(
        f"How many workers work in the {scene.counted} team? Answer with one number.",
        f"The number of workers in the {scene.counted} team is",
        (str(len(counted)),),
        counted,
        COUNTS,
        copied=False,
    )


def _order(scene: Scene, page: Page) -> Question:
    towns, stop = scene.route.towns, scene.stop
    return Question(
        f"Which town does the carrier visit right after {stop}?",
        f"The carrier visits {stop}, then",
        (towns[towns.index(stop) + 1],),
        (scene.route,),
        tuple(town for town in TOWNS if town != stop),
        copied=False,
    )


def _list(scene: Scene, page: Page) -> Question:
    listed = tuple(parcel for parcel in page.parcels if parcel.shelf == scene.shelf)
    return Question(
        f"What are the codes of the three parcels on the {scene.shelf} shelf?",
        f"The codes of the three parcels on the {scene.shelf} shelf are",
        tuple(parcel.code for parcel in listed),
        listed,
    )


def _near(scene: Scene, page: Page) -> Question:
    return _code_of(scene.twin)


def _category(scene: Scene, page: Page) -> Question:
    worker = scene.member
    return Question(
        f"In which team does {worker.name} work?",
        f"{worker.name} works in the",
        (worker.team,),
        (worker,),
        TEAMS,
        copied=False,
        ending=" team.",
    )


def _copy(scene: Scene, page: Page) -> Question:
    return Question(
        "What is the motto of the storehouse, word for word?",
        "The motto of the storehouse is:",
        scene.passage.clauses,
        (scene.passage,),
    )


def _frequent(scene: Scene, page: Page) -> Question:
    members = tuple(worker for worker in page.workers if worker.team == scene.frequent)
    return Question(
        "In which team do most workers work?",
        "Most workers work in the",
        (scene.frequent,),
        members,
        TEAMS,
        copied=False,
        ending=" team.",
    )


KINDS: dict[str, Callable[[Scene, Page], Question]] = {
    "value": _value,
    "key": _key,
    "variable": _variable,
    "count": _count,
    "order": _order,
    "list": _list,
    "near": _near,
    "category": _category,
    "copy": _copy,
    "frequent": _frequent,
}
"""By name, in the order in which they are asked."""


def questions(kinds: Sequence[str], scene: Scene, page: Page) -> list[Question]:
    """The questions of these kinds about a page of a scene."""
    return [KINDS[kind](scene, page) for kind in kinds]
