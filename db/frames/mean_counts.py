"""How a configuration shares its budget among the heads."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Text, cast, func, select

from ..database import Database
from ..keep_counts import counts_array
from ..readable import parsed
from ..schema import Allocation, Answer, AnswerAllocation, Cell
from ..standing import DONE


class MeanCounts(NamedTuple):
    """Keep counts of a configuration on a task.

    Attributes:
        counts: float [L, H], the mean over its answers.
        tokens: T, the mean number of tokens that a head could have kept; NaN where it is not recorded.
        n_answers: How many answers the means are over.
    """

    counts: npt.NDArray[np.float64]
    tokens: float
    n_answers: int


def read_mean_counts(db: Database, configuration: str, task: str, length: int | None) -> MeanCounts | None:
    """The mean keep counts of a configuration on a task at a length; None where no answer of it records any.

    None, too, where another program stored something else for one of them.
    """
    whole = None if length is None else int(length)  # a frame's number is NumPy's, which no driver takes
    query = (
        select(
            cast(Allocation.counts, Text),
            func.count(),
            func.sum(Answer.kv_tokens_full),
            func.count(Answer.kv_tokens_full),
        )
        .select_from(Cell)
        .join(Answer, Answer.cell_id == Cell.id)
        .join(AnswerAllocation, AnswerAllocation.answer_id == Answer.id)
        .join(Allocation, Allocation.id == AnswerAllocation.allocation_id)
        .where(Cell.configuration_id == configuration, Cell.task == task, Cell.length.is_not_distinct_from(whole))
        .where(DONE)
        .group_by(Allocation.id)
    )
    with db.reading() as connection:
        stored = [(counts_array(parsed(row[0])), *row[1:]) for row in connection.execute(query)]
    counts = [row[0] for row in stored if row[0] is not None]
    if len(counts) < len(stored) or len({each.shape for each in counts}) != 1:
        return None
    stacked = np.array(counts)
    weights = np.array([row[1] for row in stored], dtype=np.float64)
    n_heads = stacked[0].size
    n_recorded = sum(row[3] for row in stored)
    tokens = float(sum(row[2] or 0 for row in stored)) / n_heads / n_recorded if n_recorded else float("nan")
    return MeanCounts(np.average(stacked, axis=0, weights=weights), tokens, int(weights.sum()))
