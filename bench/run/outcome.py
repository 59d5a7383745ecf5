"""The outcome of a run: how many answers it gave, and why cells failed."""

from dataclasses import dataclass, field

from .unit import UnitAnswer


@dataclass
class Failure:
    """Why a cell is incomplete.

    Attributes:
        reason: The first reason.
        sample: The sample of the first answer that failed, in words; "" where the cell failed as a whole.
        n_answers: Its answers that failed; 0 where the cell failed as a whole.
    """

    reason: str
    sample: str = ""
    n_answers: int = 0


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes:
        failures: By cell id.
        n_new: Answers given by this run.
        n_steps: Decoding steps of its answers, token by token.
        n_saved: Of them, the steps that drafts saved.
        traces: The traceback of each distinct plugin failure, by reason.
        stopped: The first failure in one line, where it ended the run.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    n_new: int = 0
    n_steps: int = 0
    n_saved: int = 0
    traces: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None

    def add_steps(self, answer: UnitAnswer) -> None:
        """Count the decoding steps of an answer."""
        self.n_steps += answer.n_steps
        self.n_saved += answer.n_steps - answer.n_passes

    def add_trace(self, answer: UnitAnswer) -> None:
        """Record the traceback of an answer that failed in a plugin's code."""
        if answer.error is not None and answer.trace:
            self.traces[answer.error] = answer.trace

    def add_failed_answer(self, cell_id: str, sample: str, reason: str) -> None:
        """Count a failed answer of a cell to a sample, which is named in words."""
        self.failures.setdefault(cell_id, Failure(reason, sample)).n_answers += 1

    def add_failed_cell(self, cell_id: str, reason: str) -> None:
        """Record a cell that failed as a whole, for example because its profile could not be made."""
        self.failures[cell_id] = Failure(reason)
