"""Fills a task's samples to a length, and computes the length that a task needs."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from ... import UserError
from ..definitions import Definition
from ..document import Document, later_turns, user_text
from ..lazy import Lazy
from ..request import Request
from ..sizing import Size, largest_fit, least_length

_SHORT = 0.05
"""Share of its room that a prompt may leave unused when it contains all the data there are."""


class Sized(Protocol):
    """What can be made to any size; units are those of the task (lines, words, documents)."""

    @property
    def fewest(self) -> int:
        """Units in the smallest sample."""

    @property
    def most(self) -> int | None:
        """Available units; None = unlimited."""

    @property
    def first_step(self) -> int:
        """Units of the first probe, enough to estimate the tokens of one."""


class Draft(Sized, Protocol):
    """A sample before its size is known: its content is drawn first, then its size is chosen.

    A larger sample contains a smaller one.
    """

    def document(self, units: int) -> Document:
        """The sample of that size."""


S = TypeVar("S", bound=Sized)


def filled(definition: Definition, request: Request, draft: Callable[[int, int], Draft]) -> Lazy[Document]:
    """A task's documents, each as large as fits; `draft(length, index)` draws one.

    A rendered prompt never exceeds the length less the answer's tokens, and lacks at most one unit or 1%. A document
    that the length is too short for raises UserError; the first names a length that is enough for all of them.
    """

    def tokens(sketch: Draft, units: int) -> int:
        return prompt_tokens(sketch.document(units), request)

    sized = fitted(definition, request, draft, tokens)

    def document(index: int) -> Document:
        sketch, units = sized[index]
        return sketch.document(units)

    return Lazy(request.limit, document)


def fitted(
    definition: Definition,
    request: Request,
    draft: Callable[[int, int], S],
    tokens: Callable[[S, int], int],
    what: str = "sample",
) -> Lazy[tuple[S, int]]:
    """Drafts 0 to limit-1, each with the units that fit.

    Args:
        definition: The task's.
        request: How many, and how long.
        draft: `draft(length, index)` draws one.
        tokens: Tokens of a draft's longest rendered prompt at some units.
        what: A draft is that, in messages.
    """
    answer: int = definition["generation_kwargs"]["max_gen_toks"]
    length = request.target_length

    def start_of(sketch: S) -> Size:
        return Size(sketch.fewest, tokens(sketch, sketch.fewest))

    def needed(length: int) -> int:
        return answer + max(start_of(draft(length, index)).tokens for index in range(request.limit))

    def sized(index: int) -> tuple[S, int]:
        sketch = draft(length, index)
        start = start_of(sketch)
        if start.tokens <= length - answer:
            return sketch, _units(sketch, lambda units: tokens(sketch, units), start, answer, request)
        if index > 0:
            raise UserError(
                f"{what} {index} of {request.task} takes at least {start.tokens + answer} tokens with its answer; "
                f"ask for a length of more than {length}."
            )
        raise UserError(
            f"{request.task} does not fit into {length} tokens: with this tokenizer "
            f"{f'1 {what} needs' if request.limit == 1 else f'{request.limit} {what}s need'} "
            f"another length, for example {least_length(needed, length)}."
        )

    return Lazy(request.limit, sized)


def prompt_tokens(document: Document, request: Request) -> int:
    """Tokens of a document's rendered prompt."""
    turns = later_turns(document)
    more = (turns,) if turns else ()
    return request.count_prompt(user_text(document), document["answer_prefix"], *more)


def _units(sketch: Sized, count: Callable[[int], int], start: Size, answer: int, request: Request) -> int:
    room = request.target_length - answer
    size = largest_fit(count, start, room=room, first_step=sketch.first_step, most=sketch.most)
    if size.units == sketch.most and size.tokens < (1 - _SHORT) * room:
        raise UserError(
            f"{request.task} has data for samples of {size.tokens + answer} tokens with this tokenizer: "
            f"ask for a length of at most that, not {request.target_length}."
        )
    return size.units
