"""Where a cell stands: complete, failed or partial. The one definition, for writers and readers.

- failed: the cell as a whole has an error (its profile), or answers failed and none is done.
- complete: every ordinal in 0..samples_asked-1 has a done answer, and with them a score is there.
- partial: anything else. Failed answers beside done ones are counted, and the same run again retries them alone.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, case, distinct, func

from .schema import Answer, Cell, Sample

DONE = Answer.status == "done"
FAILED = Answer.status == "failed"


def n_done() -> ColumnElement[int]:
    """Done answers (over answers, grouped by cell)."""
    return func.count(case((DONE, 1)))


def n_failed() -> ColumnElement[int]:
    """Failed answers (over answers, grouped by cell)."""
    return func.count(case((FAILED, 1)))


def n_covered() -> ColumnElement[int]:
    """How many of the samples asked for have a done answer (over cell, answer and sample, grouped by cell).

    Ordinals are counted, not answers: one beyond those asked for, or a second one for the same place, adds nothing.
    """
    return func.count(distinct(case((and_(DONE, Sample.ordinal < Cell.samples_asked), Sample.ordinal))))


def status(cell: Mapping[str, Any]) -> str:
    """The status of a cell, given its `samples_asked`, `score` and `error`, and its `n`, `n_failed` and `n_covered`."""
    if cell["error"] is not None or (cell["n_failed"] > 0 and cell["n"] == 0):
        return "failed"
    return "complete" if cell["n_covered"] == cell["samples_asked"] and cell["score"] is not None else "partial"
