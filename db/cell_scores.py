"""A cell's score: the mean over its answers, kept in its row from the moment that all of them are there."""

from collections.abc import Sequence
from math import sqrt

from sqlalchemy import Connection, bindparam, distinct, func, select, update

from .schema import Answer, Cell, Sample
from .standing import DONE
from .summaries import write_summaries


def mean_score(scores: Sequence[float]) -> tuple[float, float | None]:
    """(mean, standard error) on the scale 0 to 100 of answers' scores [0, 1], as lm-eval computes them.

    The standard error is the sample standard deviation over sqrt(n); None for a single score.
    """
    n = len(scores)
    mean = sum(scores) / n
    if n == 1:
        return 100 * mean, None
    deviation = sqrt(sum((score - mean) ** 2 for score in scores) / (n - 1))
    return 100 * mean, 100 * (deviation / sqrt(n))


_ASKED = select(Cell.samples_asked).where(Cell.id == bindparam("cell_id"))
_OF_CELL = (
    Answer.cell_id == bindparam("cell_id"),
    Sample.id == Answer.sample_id,
    DONE,
    Sample.ordinal < bindparam("n_samples"),
)
_N_ORDINALS = select(func.count(distinct(Sample.ordinal))).where(*_OF_CELL)
_SCORES = select(Sample.ordinal, Answer.score).where(*_OF_CELL).order_by(Sample.ordinal, Answer.id)
_SET_SCORE = (
    update(Cell)
    .where(Cell.id == bindparam("cell_id"))
    .values(score=bindparam("new_score"), stderr=bindparam("new_stderr"), error=None)
)


def update_score(connection: Connection, cell_id: str) -> None:
    """Set the score of a cell to that of its done answers, or to null while one of the samples asked for has none.

    A cell that has its score gets its summary, too.
    Of several answers for the same ordinal the latest counts.
    """
    n_samples = connection.scalar(_ASKED, {"cell_id": cell_id}) or 0
    of_cell = {"cell_id": cell_id, "n_samples": n_samples}
    by_ordinal: dict[int, float | None] = {}
    if 0 < n_samples == connection.scalar(_N_ORDINALS, of_cell):
        by_ordinal = {row.ordinal: row.score for row in connection.execute(_SCORES, of_cell)}
    scores = [score for score in by_ordinal.values() if score is not None]
    is_whole = 0 < n_samples == len(scores)
    score, stderr = mean_score(scores) if is_whole else (None, None)
    connection.execute(_SET_SCORE, {"cell_id": cell_id, "new_score": score, "new_stderr": stderr})
    if is_whole:
        write_summaries(connection, [cell_id])
