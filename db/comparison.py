"""Scores over samples: each cell's interval, and its paired difference to another cell."""

from collections.abc import Mapping, Sequence

import numpy as np

from .clustering import Documents
from .database import Database
from .results import Row, read_results
from .rivals import UNIFORM, check_unambiguous, find_rivals, parse_against
from .sample_scores import Scores, read_scores
from .statistics.intervals import bonett_price, cell_intervals


def result_rows(store: Database, cells: Sequence[str] | None = None, against: str | None = None) -> list[Row]:
    """Every cell's results with its interval and its paired difference, where both cells are complete.

    Args:
        store: The results.
        cells: Ids; None = all.
        against: What the others are held against, as `rivals.parse_against` takes it; None = uniform.

    Raises:
        UserError: `against` names no row, or several that would do for one.
    """
    rows = read_results(store, cells)
    rule = UNIFORM if against is None else parse_against(against, rows)
    rivals = find_rivals(rows, rule)
    if against is not None:
        check_unambiguous(rivals, rule)
    compare(store, rows, rivals.of)
    return rows


def compare(store: Database, rows: Sequence[Row], rivals: Mapping[str, str]) -> None:
    """Give every row its `interval` [low, high], `n_documents`, and `gain` [mean, low, high] over its rival, `against`.

    The gain is the mean paired difference over the samples that both answered, None where they share none.
    Intervals are 95%: `cell_intervals` for a score, `bonett_price` for a difference; where samples share documents,
    `score_intervals` and `difference_intervals`, which count those of one document together. `n_documents` is how many
    documents a row's samples ask about. Rows that are not complete have none of these.

    Args:
        store: Where the rows come from.
        rows: Of `read_results`.
        rivals: Cell -> the cell it is held against.
    """
    complete = [str(row["cell"]) for row in rows if row["status"] == "complete"]
    scores = read_scores(store, complete)
    intervals, gains, n_documents = _intervals(scores), _gains(scores, rivals), _n_samples(scores)
    documents = Documents.read(store, scores)
    if documents.is_shared:
        n_of = dict(zip(scores.cells, documents.n_documents.tolist(), strict=True))
        sharing = [cell for cell, n in n_of.items() if 0 < n < n_documents[cell]]
        intervals |= documents.intervals(sharing)
        gains |= documents.gains({cell: rivals[cell] for cell in sharing if cell in gains})
        n_documents = n_of
    for row in rows:
        row["interval"] = intervals.get(row["cell"])
        row["gain"] = gains.get(row["cell"])
        row["against"] = rivals[row["cell"]] if row["gain"] else None
        row["n_documents"] = n_documents.get(row["cell"]) or None


def _n_samples(scores: Scores) -> dict[str, int]:
    """By cell how many of its samples have scores."""
    n = np.bincount(scores.cell, minlength=len(scores.cells))
    return dict(zip(scores.cells, n.tolist(), strict=True))


def _intervals(scores: Scores) -> dict[str, list[float]]:
    """By cell [low, high]; a cell none of whose answers has a score of its own has none."""
    n = np.bincount(scores.cell, minlength=len(scores.cells))
    some = n > 0
    sums, squares = (
        np.bincount(scores.cell, weights=scores.score**power, minlength=len(scores.cells)).astype(np.float64)
        for power in (1, 2)
    )
    low, high = cell_intervals(sums[some], squares[some], n[some])
    names = [cell for cell, number in scores.cells.items() if some[number]]
    return {name: [a, b] for name, a, b in zip(names, low.tolist(), high.tolist(), strict=True)}


def _gains(scores: Scores, rivals: Mapping[str, str]) -> dict[str, list[float]]:
    """By cell [mean, low, high] of its paired differences to its rival."""
    if not len(scores.cell):
        return {}
    rival = np.full(len(scores.cells), -1, dtype=np.int64)
    for cell, other in rivals.items():
        if cell in scores.cells and other in scores.cells:
            rival[scores.cells[cell]] = scores.cells[other]
    keys = scores.key
    theirs = rival[scores.cell] * scores.n_samples + scores.sample
    place = np.searchsorted(keys, theirs).clip(max=len(keys) - 1)
    shared = (rival[scores.cell] >= 0) & (keys[place] == theirs)
    cell, difference = scores.cell[shared], scores.score[shared] - scores.score[place[shared]]
    n = np.bincount(cell, minlength=len(scores.cells))
    sums, squares = (
        np.bincount(cell, weights=difference**power, minlength=len(scores.cells)).astype(np.float64) for power in (1, 2)
    )
    nonzero = np.bincount(cell[difference != 0], minlength=len(scores.cells))
    some = n > 0
    low, high = bonett_price(sums[some], squares[some], nonzero[some], n[some])
    gains = np.stack([sums[some] / n[some], low, high], axis=1).tolist()
    names = [name for name, number in scores.cells.items() if some[number]]
    return dict(zip(names, gains, strict=True))
