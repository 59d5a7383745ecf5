"""Scores over samples: each cell's interval, and its paired difference to another cell."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .ceilings import shares_of_oracle
from .clustering import Documents
from .database import Database
from .portions import portions
from .results import Row, read_results
from .rivals import UNIFORM, check_unambiguous, find_rivals, parse_against
from .sample_scores import Scores, read_scores
from .statistics.arrays import Booleans, Floats, Integers
from .statistics.intervals import bonett_price, cell_intervals


def result_rows(store: Database, cells: Sequence[str] | None = None, against: str | None = None) -> list[Row]:
    """Every cell's results with its interval and its paired difference, where both cells are complete, and its
    `share_of_oracle`, see `ceilings.shares_of_oracle`.

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
    shares = shares_of_oracle(rows)
    for row in rows:
        row["share_of_oracle"] = shares.get(row["cell"])
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
    parts = [_moments(scores.cell[part], scores.score[part], cells) for cells, part in _parts(scores)]
    n, sums, squares, _ = np.hstack([*parts, np.empty((4, 0))])
    some = n > 0
    low, high = cell_intervals(sums[some], squares[some], n[some].astype(np.int64))
    return _by_cell(scores, some, np.stack([low, high], axis=1))


def _gains(scores: Scores, rivals: Mapping[str, str]) -> dict[str, list[float]]:
    """By cell [mean, low, high] of its paired differences to its rival."""
    if not len(scores.cell):
        return {}
    rival = np.full(len(scores.cells), -1, dtype=np.int64)
    for cell, other in rivals.items():
        if cell in scores.cells and other in scores.cells:
            rival[scores.cells[cell]] = scores.cells[other]
    keys = scores.key
    parts = [_moments(*_differences(scores, keys, rival, part), cells) for cells, part in _parts(scores)]
    n, sums, squares, nonzero = np.hstack(parts)
    some = n > 0
    numbers = n[some].astype(np.int64)
    low, high = bonett_price(sums[some], squares[some], nonzero[some].astype(np.int64), numbers)
    return _by_cell(scores, some, np.stack([sums[some] / numbers, low, high], axis=1))


def _parts(scores: Scores) -> Iterator[tuple[range, slice]]:
    """(cells, where their scores are) of so many cells at a time that what is made of their scores is small."""
    for cells in portions(range(len(scores.cells))):
        first, end = np.searchsorted(scores.cell, [cells[0], cells[-1] + 1]).tolist()
        yield range(cells[0], cells[-1] + 1), slice(first, end)


def _differences(scores: Scores, keys: Integers, rival: Integers, part: slice) -> tuple[Integers, Floats]:
    """(cell, its score less its rival's) of the samples that both answered."""
    cell = scores.cell[part]
    theirs = rival[cell] * scores.n_samples + scores.sample[part]
    place = np.searchsorted(keys, theirs).clip(max=len(keys) - 1)
    shared = (rival[cell] >= 0) & (keys[place] == theirs)
    return cell[shared], scores.score[part][shared] - scores.score[place[shared]]


def _moments(cell: Integers, values: Floats, cells: range) -> Floats:
    """[4, cells]: the number of each cell's values, their sum, the sum of their squares, and how many are not 0."""
    weights = (None, values, values**2, values != 0)
    return np.stack([np.bincount(cell - cells.start, each, len(cells)).astype(np.float64) for each in weights])


def _by_cell(scores: Scores, some: Booleans, values: Floats) -> dict[str, list[float]]:
    """Values [cells] of some cells by their names."""
    names = [name for name, number in scores.cells.items() if some[number]]
    return dict(zip(names, values.tolist(), strict=True))
