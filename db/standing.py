"""Where a cell stands, as SQL: complete, failed or partial. The one definition, for writers and readers.

- failed: the cell has an error, or any of its answers has.
- complete: every ordinal in 0..samples_asked-1 has a done answer, and the score over them is there.
- partial: anything else.
"""

from sqlalchemy import ColumnElement, Subquery, and_, case, distinct, func, or_

from .schema import Answer, Cell, Sample

DONE = Answer.status == "done"
FAILED = Answer.status == "failed"


def n_covered() -> ColumnElement[int]:
    """How many of the samples asked for have a done answer (over cell, answer and sample, grouped by cell).

    Ordinals are counted, not answers: one beyond those asked for, or a second one for the same place, adds nothing.
    """
    return func.count(distinct(case((and_(DONE, Sample.ordinal < Cell.samples_asked), Sample.ordinal))))


def status(totals: Subquery) -> ColumnElement[str]:
    """The status of a cell, given its totals (`n_failed` and `n_covered`, null for a cell without answers)."""
    return case(
        (or_(Cell.error.is_not(None), func.coalesce(totals.c.n_failed, 0) > 0), "failed"),
        (and_(totals.c.n_covered == Cell.samples_asked, Cell.score.is_not(None)), "complete"),
        else_="partial",
    )
