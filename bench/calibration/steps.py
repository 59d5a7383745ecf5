"""Reports how far a calibration is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..engine.prompt import Prompt
from .documents import Document

Report = Callable[[str, int, int], None]
"""Called with (stage, steps done, steps in all)."""


@dataclass
class Steps:
    """Reports the answer tokens of a document and, from the second token on, an upper bound of the remaining time; none
    where answers are not the last that is done with a document.

    Attributes:
        document: The document at hand.
        prompts: Of its questions.
        number: Its place among all, from 0.
        total: How many there are.
        n_steps: Of a document: the most tokens of an answer.
        has_more: Whether more is done with a document once its questions are answered.
        report: Where it is shown.
    """

    document: Document
    prompts: Sequence[Prompt]
    number: int
    total: int
    n_steps: int
    has_more: bool
    report: Report
    _started: float = field(default_factory=time.monotonic, init=False)
    _read: float = field(default_factory=time.monotonic, init=False)

    def __call__(self, done: int) -> None:
        """Report that `done` tokens of every answer are generated; 0 = the text is about to be read."""
        if done == 0:
            doing = f"reading {len(self.prompts[0].context)} tokens"
        else:
            left = "" if self.has_more else self._left(done)
            doing = f"answering {len(self.prompts)} questions, tokens of each{left}"
        self._say(doing, done)

    def of_future(self, number: int, total: int) -> None:
        """Report which of a text's futures is differentiated, once its questions are answered."""
        self._say(f"differentiating future {number} of {total}", self.n_steps)

    def _say(self, what: str, done: int) -> None:
        where = f"calibrating on {self.document.name} (text {self.number + 1} of {self.total})"
        self.report(f"{where}: {what}", self.number * self.n_steps + done, self.total * self.n_steps)

    def _left(self, done: int) -> str:
        """The remaining time; an upper bound, since answers may end early."""
        now = time.monotonic()
        if done == 1:
            self._read = now
            return ""
        step_s = (now - self._read) / (done - 1)
        document_s = self._read - self._started + step_s * (self.n_steps - 1)
        left_s = step_s * (self.n_steps - done) + document_s * (self.total - self.number - 1)
        return f", at most {left_s:.0f} s left" if left_s < 100 else f", at most {left_s / 60:.0f} min left"
