"""Whose seconds a cell shows: those of one environment, since seconds of different machines have no common mean."""

from sqlalchemy import Subquery, func, select

from .schema import Answer, Run, Timing
from .standing import DONE


def timed_environments() -> Subquery:
    """By cell (`cell_id`) the environment (`environment_id`) that gave most of its timed, done answers.

    Of two that gave as many, the one whose id comes first. A cell without timed answers has no row.
    """
    n_answers = func.count()
    place = func.row_number().over(partition_by=Answer.cell_id, order_by=(n_answers.desc(), Run.environment_id))
    ranked = (
        select(Answer.cell_id, Run.environment_id, place.label("place"))
        .join(Run, Run.id == Answer.run_id)
        .join(Timing, Timing.answer_id == Answer.id)
        .where(DONE)
        .group_by(Answer.cell_id, Run.environment_id)
        .subquery()
    )
    return select(ranked.c.cell_id, ranked.c.environment_id).where(ranked.c.place == 1).subquery()
