"""Fills a task's samples to a length, and computes the length that a task needs."""

from collections.abc import Callable
from typing import Protocol

from ... import UserError
from ..definitions import Definition
from ..document import Document, user_text
from ..lazy import Lazy
from ..request import Request
from ..sizing import Size, largest_fit, least_length

_SHORT = 0.05
"""Share of its room that a prompt may leave unused when it contains all the data there are."""


class Draft(Protocol):
    """A sample before its size is known: its content is drawn first, then its size is chosen.

    A larger sample contains a smaller one; units are those of the task (lines, words, documents).
    """

    @property
    def fewest(self) -> int:
        """Units in the smallest sample."""

    @property
    def most(self) -> int | None:
        """Available units; None = unlimited."""

    @property
    def first_step(self) -> int:
        """Units of the first probe, enough to estimate the tokens of one."""

    def document(self, units: int) -> Document:
        """The sample of that size."""


def filled(definition: Definition, request: Request, draft: Callable[[int, int], Draft]) -> Lazy[Document]:
    """A task's documents, each as large as fits; `draft(length, index)` draws one.

    A rendered prompt never exceeds the length less the answer's tokens, and lacks at most one unit or 1%. A document
    that the length is too short for raises UserError; the first names a length that is enough for all of them.
    """
    answer: int = definition["generation_kwargs"]["max_gen_toks"]
    length = request.target_length

    def needed(length: int) -> int:
        starts = (_start(draft(length, index), request) for index in range(request.limit))
        return answer + max(start.tokens for start in starts)

    def document(index: int) -> Document:
        sketch = draft(length, index)
        start = _start(sketch, request)
        if start.tokens <= length - answer:
            return _fill(sketch, start, length - answer, answer, request)
        if index > 0:
            raise UserError(
                f"sample {index} of {request.task} takes at least {start.tokens + answer} tokens with its answer; "
                f"ask for a length of more than {length}."
            )
        raise UserError(
            f"{request.task} does not fit into {length} tokens: with this tokenizer "
            f"{'1 sample needs' if request.limit == 1 else f'{request.limit} samples need'} "
            f"another length, for example {least_length(needed, length)}."
        )

    return Lazy(request.limit, document)


def _start(sketch: Draft, request: Request) -> Size:
    return Size(sketch.fewest, _tokens(sketch.document(sketch.fewest), request))


def _fill(sketch: Draft, start: Size, room: int, answer: int, request: Request) -> Document:
    size = largest_fit(
        lambda units: _tokens(sketch.document(units), request),
        start,
        room=room,
        first_step=sketch.first_step,
        most=sketch.most,
    )
    if size.units == sketch.most and size.tokens < (1 - _SHORT) * room:
        raise UserError(
            f"{request.task} has data for samples of {size.tokens + answer} tokens with this tokenizer: "
            f"ask for a length of at most that, not {request.target_length}."
        )
    return sketch.document(size.units)


def _tokens(document: Document, request: Request) -> int:
    return request.count_prompt(user_text(document), document["answer_prefix"])
