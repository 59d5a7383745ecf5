"""How a run went: what it answered, and which cells failed on what."""

from dataclasses import dataclass, field

from .unit import UnitAnswer


@dataclass
class Failure:
    """Why a cell is not all done.

    Attributes:
        reason: The first one.
        n_answers: Its answers that failed; 0 where the cell failed as a whole.
    """

    reason: str
    n_answers: int = 0


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        failures: By cell id.
        n_new: Answers given by this run.
        traces: Of each distinct failure of a plugin its whole traceback, by reason.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    n_new: int = 0
    traces: dict[str, str] = field(default_factory=dict)

    def add_trace(self, answer: UnitAnswer) -> None:
        """The traceback of an answer that a plugin's code failed."""
        if answer.error is not None and answer.trace:
            self.traces[answer.error] = answer.trace

    def add_failed_answer(self, cell_id: str, reason: str) -> None:
        """One more answer of a cell failed."""
        self.failures.setdefault(cell_id, Failure(reason)).n_answers += 1

    def add_failed_cell(self, cell_id: str, reason: str) -> None:
        """A cell failed as a whole: its profile, its aggregate metric."""
        self.failures[cell_id] = Failure(reason)
