"""What of each answer a paired comparison can be about: its score, or how its cache differs from the full one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import select

from .database import Database
from .portions import portions, read_rows
from .sample_scores import Scores, read_scores
from .schema import Answer, Fidelity
from .standing import DONE
from .statistics.paired import Paired


@dataclass(frozen=True)
class Measure:
    """A number of each answer.

    Attributes:
        name: As typed.
        unit: In words, in the plural.
        digits: Shown after the point.
        column: Where it is stored; None for the score.
        scale: Of what is shown, relative to what is stored.
        more_is_better: Whether a larger number is better.
        decimals: Of what is shown; what lies behind them is rounding, and no difference.
    """

    name: str
    unit: str
    digits: int
    column: Any = None
    scale: float = 1.0
    more_is_better: bool = True
    decimals: int = 9

    @property
    def factor(self) -> float:
        """Of what is compared relative to what is stored; more is better in what is compared."""
        return self.scale if self.more_is_better else -self.scale

    def shown(self, paired: Paired) -> Paired:
        """A comparison with the measure's own numbers: a difference below 0 is better where less is. Where all samples
        are tied, nothing is known of how large a difference without a largest one is, and it is 0."""
        if self.more_is_better:
            return paired
        if paired.tied == paired.n_samples:
            paired = replace(paired, difference=0.0, low=0.0, high=0.0, bootstrap_low=0.0, bootstrap_high=0.0)
            return replace(paired, score_a=-paired.score_a, score_b=-paired.score_b, detectable=0.0)
        return replace(
            paired,
            score_a=-paired.score_a,
            score_b=-paired.score_b,
            difference=-paired.difference,
            low=-paired.high,
            high=-paired.low,
            bootstrap_low=-paired.bootstrap_high,
            bootstrap_high=-paired.bootstrap_low,
        )

    def favours_a(self, paired: Paired) -> bool:
        """Whether a shown comparison's first one is better."""
        return (paired.difference > 0) == self.more_is_better


SCORE = Measure("score", "points", 1)
MEASURES: Mapping[str, Measure] = {
    one.name: one
    for one in (
        SCORE,
        Measure("kl", "nats of KL", 4, Fidelity.kl_nats, more_is_better=False, decimals=8),
        Measure("agreement", "% of tokens", 1, Fidelity.agreement, 100.0),
        Measure("nll", "nats of NLL", 4, Fidelity.reference_nll, more_is_better=False, decimals=5),
    )
}


def read_values(db: Database, cells: Sequence[str], measure: Measure) -> Scores:
    """The numbers of some cells' done answers, times the measure's factor, in the place of their scores; answers that
    have none are left out."""
    if measure.column is None:
        return read_scores(db, cells)
    query = select(Answer.cell_id, Answer.sample_id, measure.column).join(Fidelity, Fidelity.answer_id == Answer.id)
    query = query.where(DONE, measure.column.is_not(None))
    once = list(dict.fromkeys(cells))
    with db.reading() as connection:
        rows = [row for some in portions(once) for row in read_rows(connection, query.where(Answer.cell_id.in_(some)))]
    numbers = {name: number for number, name in enumerate(once)}
    samples = sorted({sample for _, sample, _ in rows})
    places = {name: place for place, name in enumerate(samples)}
    cell = np.array([numbers[one] for one, _, _ in rows], dtype=np.int64)
    sample = np.array([places[one] for _, one, _ in rows], dtype=np.int64)
    order = np.lexsort((sample, cell))
    value = np.round(measure.factor * np.array([number for _, _, number in rows], dtype=np.float64), measure.decimals)
    return Scores(numbers, samples, cell[order], sample[order], value[order])
