"""A run that is finished: the results of all its models."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FinishedRun:
    """The results of a run.

    Attributes:
        rows: A row per cell, with the columns of `results --json`.
        failures: A line for each cell with failed answers, and for each model that could not be run.
        failed_cells: Their ids.
        n_new: Answers given by this run.
        n_steps: Decoding steps of its answers, token by token.
        n_saved: Of them, the steps that drafts saved.
        traces: The tracebacks of plugins that raised.
        stopped: The failed answer that ended the run; None unless `fail_fast`.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    failed_cells: set[str] = field(default_factory=set)
    n_new: int = 0
    n_steps: int = 0
    n_saved: int = 0
    traces: list[str] = field(default_factory=list)
    stopped: str | None = None
