"""Samples of the tasks `requests_*` and `turns`: several questions on one context, made once for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NotRequired

from ... import UserError
from ..definitions import Definition
from ..document import Document, Turn, user_text
from ..evidence import EvidenceDocument
from ..lazy import Lazy
from ..request import Documents, Request
from ..ruler.draws import sample_rng
from ..ruler.filling import fitted, prompt_tokens
from .questions import KINDS, Question, questions
from .scene import Scene, drawn_scene

_ASKED = "\n\nQuestion: {}"
"""Between context and answer; later turns begin without the empty line."""

UNTOLD = tuple(kind for kind in KINDS if kind != "list")
"""Kinds of which no answer tells another's: a shelf's codes are those of single parcels."""


class RequestDocument(EvidenceDocument):
    """A document of these tasks."""

    kind: str
    """The kind of its question."""
    turn: NotRequired[int]
    """In a dialogue the number of its question, from 1."""
    turns: NotRequired[list[Turn]]
    """In a dialogue what follows the first user turn: an answer, a question and so on, the last one a question."""


@dataclass(frozen=True)
class ContextDraft:
    """A context before its size is known; units are the notes that no question asks for.

    Attributes:
        first: The ordinal of its first sample.
        kinds: What is asked, in order.
        dialogue: Whether each question comes with those before it and their answers.
    """

    task: str
    first: int
    kinds: Sequence[str]
    dialogue: bool
    scene: Scene
    fewest: int = 1
    most: None = None
    first_step: int = 8

    def documents(self, units: int) -> list[RequestDocument]:
        """Its samples with that many further notes."""
        page = self.scene.page(units)
        asked = questions(self.kinds, self.scene, page)
        documents = []
        for place, (kind, question) in enumerate(zip(self.kinds, asked, strict=True)):
            document = RequestDocument(
                task=self.task,
                index=self.first + place,
                context=page.text,
                question=_ASKED.format(asked[0 if self.dialogue else place].text),
                answer_prefix=question.prefix,
                outputs=list(question.answers),
                all_classes=list(question.choices),
                kind=kind,
                evidence=page.spans(question.evidence),
            )
            if question.copied:
                document["copied"] = list(question.answers)
            if self.dialogue:
                document |= {"turn": place + 1, "turns": _later_turns(asked[: place + 1])}
            documents.append(document)
        return documents


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents; the first raises UserError with a length that is enough where the length is too short."""
    metadata, knobs = definition["metadata"], definition["dataset_kwargs"]
    n_questions: int = metadata["questions"]

    def drawn(length: int, context: int) -> ContextDraft:
        scene = drawn_scene(knobs["values"], length, request.seed, context, metadata["family"])
        kinds, dialogue = tuple(KINDS), bool(knobs.get("dialogue"))
        if dialogue:
            rng = sample_rng(f"{metadata['family']}/kinds", length, request.seed, context)
            kinds = tuple(rng.sample(UNTOLD, n_questions))
        return ContextDraft(request.task, context * n_questions, kinds, dialogue, scene)

    def longest(draft: ContextDraft, units: int) -> int:
        return max(prompt_tokens(document, request) for document in draft.documents(units))

    n_contexts = -(-request.limit // n_questions)
    sized = fitted(definition, replace(request, limit=n_contexts), drawn, longest, "context")

    @lru_cache(maxsize=1)
    def of_context(context: int) -> list[RequestDocument]:
        draft, units = sized[context]
        return draft.documents(units)

    def document(index: int) -> Document:
        return of_context(index // n_questions)[index % n_questions]

    return Documents(Lazy(request.limit, document), "none")


def first_turn(document: Document) -> str:
    """lm-eval's doc_to_text for dialogues; the harness renders later turns itself.

    Raises:
        UserError: the document has later turns, which lm-eval would leave out.
    """
    if document.get("turns"):
        raise UserError(
            f"sample {document['index']} of {document['task']} is a dialogue of several turns, which lm-eval cannot "
            "render; ask it with `lukv-bench run`."
        )
    return user_text(document)


def _later_turns(asked: Sequence[Question]) -> list[Turn]:
    """The dialogue behind the first question: its answer, the second question and so on, up to the last question."""
    turns: list[Turn] = []
    for before, question in pairwise(asked):
        turns.append(Turn(role="assistant", content=before.whole_answer))
        turns.append(Turn(role="user", content=_ASKED.format(question.text).lstrip()))
    return turns
