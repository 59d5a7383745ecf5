"""Where a cell stands, as SQL: complete, failed or partial. The one definition, for writers and readers.

- failed: the cell as a whole has an error (its profile), or answers failed and none is done.
- complete: every ordinal in 0..samples_asked-1 has a done answer, and with them a score is there.
- partial: anything else. Failed answers beside done ones are counted, and the same run again retries them alone.
"""

from sqlalchemy import ColumnElement, Subquery, and_, case, distinct, func, or_

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


def status(totals: Subquery) -> ColumnElement[str]:
    """The status of a cell, given its totals (`n`, `n_failed`, `n_covered`; null for a cell without answers)."""
    nothing_answered = and_(totals.c.n_failed > 0, totals.c.n == 0)
    return case(
        (or_(Cell.error.is_not(None), nothing_answered), "failed"),
        (and_(totals.c.n_covered == Cell.samples_asked, Cell.score.is_not(None)), "complete"),
        else_="partial",
    )
