"""Ranks that are shared where the data cannot part two configurations."""

import numpy as np
import pandas as pd

from .arrays import Booleans, Floats, Integers
from .complete import score_table
from .families import holm
from .intervals import score_intervals
from .signflip import all_pairs
from .table import ScoreTable

RANKED_COLUMNS = (
    *("configuration", "rank", "best_place", "worst_place", "score", "interval_low", "interval_high"),
    *("n_tasks", "n_samples", "n_documents"),
)


def rank(cells: pd.DataFrame, scores: pd.DataFrame, level: float = 0.95) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(ranked, incomplete): the complete configurations by score with their ranks, and the others apart.

    - `score` is the mean over tasks of the mean over samples: tasks weigh the same, whatever their numbers of samples.
    - Every pair is compared by the sign-flip test of that mean over the same samples, samples of one document together;
      Holm's correction over all pairs keeps the chance of a single false difference below 1 - level.
    - Going down the scores, a configuration opens a new rank when it is parted from any that holds the rank above;
      otherwise it shares that. So two that the test parts never share a rank, and two with the same answers always do.
      `rank` is 1 plus the number of configurations with better ranks.
    - The test does not part neighbours of different ranks for certain: `best_place` and `worst_place` say what places
      the comparisons leave open, for all configurations at once (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of
      Economic Studies 91(1)): 1 plus the number that is better for certain, and all less the number that is worse.

    Args:
        cells: The cells of one setting and the chosen tasks, see `complete.score_table`.
        scores: Their scored answers, see there.
        level: Of the intervals and of the test.

    Returns:
        A frame with RANKED_COLUMNS, and one with columns configuration, n_complete, n_tasks, missing.
    """
    table, incomplete = score_table(cells, scores)
    return ranked_frame(table, level), incomplete


def ranked_frame(table: ScoreTable, level: float = 0.95) -> pd.DataFrame:
    """The configurations of a table, the best first, with RANKED_COLUMNS."""
    low, high = score_intervals(table, level)
    frame = pd.DataFrame(
        {
            "configuration": pd.Series(table.configurations, dtype="object"),
            **rank_places(table, level),
            "score": table.means(),
            "interval_low": low,
            "interval_high": high,
            "n_tasks": len(np.unique(table.task)),
            "n_samples": len(table.task),
            "n_documents": len(table.first_of_document),
        }
    )
    order = np.lexsort((np.arange(len(frame)), -_rounded(table.means())))
    return frame.iloc[order].reset_index(drop=True)[list(RANKED_COLUMNS)]


def rank_places(table: ScoreTable, level: float = 0.95) -> dict[str, Integers]:
    """`rank`, `best_place` and `worst_place` [C] of each configuration of a table."""
    is_better = parted(table, level)
    n = len(is_better)
    return {
        "rank": _ranks(_rounded(table.means()), is_better | is_better.T, table.scores),
        "best_place": 1 + is_better.sum(axis=0),
        "worst_place": n - is_better.sum(axis=1),
    }


def parted(table: ScoreTable, level: float = 0.95) -> Booleans:
    """[C, C]: whether the test finds the row's configuration better than the column's, all pairs being one family."""
    n = len(table.scores)
    is_better = np.zeros((n, n), dtype=bool)
    if n < 2 or not table.scores.size:
        return is_better
    contributions = np.add.reduceat(table.scores * table.weight, table.first_of_document, axis=1)
    pairs = all_pairs(contributions)
    rejected, _ = holm(pairs.p_value, level)
    is_better[pairs.a, pairs.b] = rejected & (pairs.difference > 0)
    is_better[pairs.b, pairs.a] = rejected & (pairs.difference < 0)
    return is_better


def _ranks(means: Floats, is_parted: Booleans, scores: Floats) -> Integers:
    """Ranks down the scores. Configurations with the same answers count as one when a rank is opened."""
    alike: dict[bytes, list[int]] = {}
    for number, row in enumerate(scores):
        alike.setdefault(row.tobytes(), []).append(number)
    ranks = np.zeros(len(means), dtype=np.int64)
    holders: list[int] = []
    rank, n_above = 1, 0
    for same in sorted(alike.values(), key=lambda same: (-means[same[0]], same[0])):
        if is_parted[same[0], holders].any():
            rank, holders = 1 + n_above, []
        holders.append(same[0])
        n_above += len(same)
        ranks[same] = rank
    return ranks


def _rounded(means: Floats) -> Floats:
    """Without the last digits, which depend on the order of summation."""
    return np.round(means, 9)
