"""A cell's score: the mean over its answers, kept in its row from the moment that all of them are there."""

from collections.abc import Sequence
from math import sqrt

from sqlalchemy import Connection, select, update

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


def update_score(connection: Connection, cell_id: str) -> None:
    """Set the score of a cell to that of its done answers, or to null while one of the samples asked for has none.

    A cell that has its score gets its summary, too.
    Of several answers for the same ordinal the latest counts.
    """
    n_samples = connection.scalar(select(Cell.samples_asked).where(Cell.id == cell_id)) or 0
    answers = (
        select(Sample.ordinal, Answer.score)
        .join(Sample, Sample.id == Answer.sample_id)
        .where(Answer.cell_id == cell_id, DONE, Sample.ordinal < n_samples)
        .order_by(Sample.ordinal, Answer.id)
    )
    scores = {row.ordinal: row.score for row in connection.execute(answers)}
    is_whole = 0 < n_samples == len(scores) and None not in scores.values()
    score, stderr = mean_score([*scores.values()]) if is_whole else (None, None)
    connection.execute(update(Cell).where(Cell.id == cell_id).values(score=score, stderr=stderr, error=None))
    if is_whole:
        write_summaries(connection, [cell_id])
