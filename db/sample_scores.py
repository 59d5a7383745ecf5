"""What each sample of some cells scored, as arrays: the material of intervals and of every paired comparison."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Text, cast, func, select

from .database import Database
from .portions import portions, read_rows
from .readable import parsed
from .schema import Answer, CellSummary, SampleList
from .standing import DONE
from .statistics.arrays import Floats, Integers
from .summaries import packed_size, unpacked_scores

_PASS_SHARE = 10
"""Where more than one summary of so many is wanted, and more than a statement can name, one pass over all of them costs
less than seeking each."""


@dataclass(frozen=True)
class Scores:
    """Scored answers, one a place, by cell and then by the id of their sample.

    Attributes:
        cells: Cell -> its number.
        samples: The ids of all samples, in order.
        cell: The number of the cell that answered.
        sample: The place of the sample in `samples`.
        score: [0, 100].
    """

    cells: Mapping[str, int]
    samples: Sequence[str]
    cell: Integers
    sample: Integers
    score: Floats

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    @property
    def key(self) -> Integers:
        """Cell and sample in one number, which grows from place to place: cell * n_samples + sample."""
        return self.cell * self.n_samples + self.sample


class _Scored(NamedTuple):
    """The scored answers of C cells on the same list of samples: its number, and scores [C, S] in its order, [0, 1]."""

    cells: Sequence[str]
    samples: int
    scores: Floats


class _Lists:
    """Lists of samples, equal ones once; `stored` has the numbers of those in the database by their ids there."""

    def __init__(self) -> None:
        self.all: list[tuple[str, ...]] = []
        self.stored: dict[int, int] = {}
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, samples: tuple[str, ...]) -> int:
        if samples not in self._numbers:
            self._numbers[samples] = len(self.all)
            self.all.append(samples)
        return self._numbers[samples]


def read_scores(db: Database, cells: Sequence[str]) -> Scores:
    """The scored answers of some cells: from the summaries of those that have one, and from the answers of the rest."""
    once = list(dict.fromkeys(cells))
    lists = _Lists()
    with db.reading() as connection:
        scored = list(_summarised(connection, once, lists))
        done = {cell for each in scored for cell in each.cells}
        rest = [cell for cell in once if cell not in done]
        scored += [each for some in portions(rest) for each in _answered(connection, some, lists)]
    return _joined(once, scored, lists.all)


def read_sample_lists(db: Database, cells: Sequence[str]) -> dict[str, Sequence[str]]:
    """By cell the samples that it has scored answers of; equal lists are the same object."""
    once = list(dict.fromkeys(cells))
    lists = _Lists()
    with db.reading() as connection:
        numbers = {cell: number for some in portions(once) for cell, number in _listed(connection, some, lists)}
        rest = [cell for cell in once if cell not in numbers]
        answered = [each for some in portions(rest) for each in _answered(connection, some, lists)]
    numbers |= {cell: each.samples for each in answered for cell in each.cells}
    return {cell: lists.all[number] for cell, number in numbers.items()}


def _listed(connection: Connection, cells: Sequence[str], lists: _Lists) -> Iterator[tuple[str, int]]:
    """Cells that have a summary, with the number of its list of samples."""
    query = select(CellSummary.cell_id, CellSummary.sample_list_id).where(CellSummary.cell_id.in_(cells))
    rows = list(read_rows(connection, query))
    numbers = _numbers(connection, {number for _, number in rows}, lists)
    return ((cell, numbers[number]) for cell, number in rows if number in numbers)


def _numbers(connection: Connection, ids: Set[int], lists: _Lists) -> dict[int, int]:
    """The numbers of stored lists of samples, by their ids."""
    stored = select(SampleList.id, cast(SampleList.samples, Text)).where(SampleList.id.in_(ids - lists.stored.keys()))
    lists.stored |= {number: lists.number(tuple(parsed(text))) for number, text in connection.execute(stored)}
    return lists.stored


def _summarised(connection: Connection, cells: Sequence[str], lists: _Lists) -> Iterator[_Scored]:
    """Cells with a summary that fits its list of samples."""
    query = select(CellSummary.cell_id, CellSummary.sample_list_id, CellSummary.scores)
    parts = list(portions(cells))
    if len(parts) > 1 and len(cells) > _n_summaries(connection) / _PASS_SHARE:
        wanted = set(cells)
        yield from _unpacked(connection, [row for row in read_rows(connection, query) if row[0] in wanted], lists)
    else:
        for some in parts:
            rows = list(read_rows(connection, query.where(CellSummary.cell_id.in_(some))))
            yield from _unpacked(connection, rows, lists)


def _n_summaries(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(CellSummary)) or 0


def _unpacked(connection: Connection, rows: Sequence[Sequence[Any]], lists: _Lists) -> Iterator[_Scored]:
    numbers = _numbers(connection, {number for _, number, _ in rows}, lists)
    packed: dict[int, dict[str, bytes]] = {}
    for cell, stored, scores in rows:
        if stored in numbers and len(scores) == packed_size(len(lists.all[numbers[stored]])):
            packed.setdefault(numbers[stored], {})[cell] = scores
    for number, of_cells in packed.items():
        table = unpacked_scores(b"".join(of_cells.values())).reshape(len(of_cells), len(lists.all[number]))
        yield _Scored(list(of_cells), number, table)


def _answered(connection: Connection, cells: Sequence[str], lists: _Lists) -> Iterator[_Scored]:
    query = (
        select(Answer.cell_id, Answer.sample_id, Answer.score)
        .where(DONE, Answer.score.is_not(None), Answer.cell_id.in_(cells))
        .order_by(Answer.cell_id, Answer.sample_id)
    )
    for cell, rows in groupby(read_rows(connection, query), key=_first):
        _, samples, scores = zip(*rows, strict=True)
        yield _Scored([str(cell)], lists.number(samples), np.array([scores], dtype=np.float64))


def _first(row: Sequence[Any]) -> Any:
    return row[0]


def _joined(cells: Sequence[str], scored: Sequence[_Scored], lists: Sequence[tuple[str, ...]]) -> Scores:
    numbers = {name: number for number, name in enumerate(cells)}
    samples = sorted({sample for each in lists for sample in each})
    place = {name: number for number, name in enumerate(samples)}
    places = [np.array([place[name] for name in each], dtype=np.int64) for each in lists]
    orders = [np.argsort(each) for each in places]  # of a list once, not of all scores together
    rows = [np.array([numbers[cell] for cell in each.cells], dtype=np.int64) for each in scored]
    sizes = np.zeros(len(cells), dtype=np.int64)
    for row, each in zip(rows, scored, strict=True):
        sizes[row] = each.scores.shape[1]
    starts = np.cumsum(sizes) - sizes
    sample, score = np.empty(sizes.sum(), dtype=np.int64), np.empty(sizes.sum())
    for row, each in zip(rows, scored, strict=True):
        order = orders[each.samples]
        here = np.add.outer(starts[row], np.arange(len(order)))
        sample[here] = places[each.samples][order]
        score[here] = 100 * each.scores[:, order]
    return Scores(numbers, samples, np.repeat(np.arange(len(cells)), sizes), sample, score)
