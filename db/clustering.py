"""Intervals of cells whose samples share documents. Independent samples need sums alone: see `db.comparison`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .database import Database
from .documents import read_documents
from .sample_scores import Scores, read_sample_lists, read_scores
from .statistics.arrays import Floats, Integers
from .statistics.intervals import difference_intervals, score_intervals
from .statistics.table import ScoreTable


@dataclass(frozen=True)
class Documents:
    """What the samples of some scores ask about.

    Attributes:
        scores: The scores.
        of_sample: The number of each sample's document; one that names none is alone with its own.
    """

    scores: Scores
    of_sample: Integers

    @classmethod
    def read(cls, db: Database, scores: Scores) -> "Documents":
        """The documents of some scores."""
        named = read_documents(db, scores.samples)
        numbers: dict[tuple[bool, str], int] = {}
        keys = [(sample in named, named.get(sample, sample)) for sample in scores.samples]
        of_sample = [numbers.setdefault(key, len(numbers)) for key in keys]
        return cls(scores, np.array(of_sample, dtype=np.int64))

    @property
    def n_documents(self) -> Integers:
        """By the number of a cell, how many documents its scored samples ask about."""
        scores = self.scores
        pairs = scores.cell * max(1, scores.n_samples) + self.of_sample[scores.sample]
        return np.bincount(np.unique(pairs) // max(1, scores.n_samples), minlength=len(scores.cells))

    @property
    def is_shared(self) -> bool:
        """Whether any two samples ask about one document."""
        return len(self.of_sample) > len(np.unique(self.of_sample))

    def intervals(self, cells: Sequence[str]) -> dict[str, list[float]]:
        """By cell [low, high] of `score_intervals`."""
        found: dict[str, list[float]] = {}
        for names, tables in self._alike({cell: cell for cell in cells}):
            low, high = score_intervals(tables[0])
            found |= {name: [a, b] for name, a, b in zip(names, low.tolist(), high.tolist(), strict=True)}
        return found

    def gains(self, rivals: Mapping[str, str]) -> dict[str, list[float]]:
        """By cell [mean, low, high] of `difference_intervals` to its rival, where the two share a sample."""
        found: dict[str, list[float]] = {}
        for names, (ours, theirs) in self._alike(rivals):
            differences = ours.scores - theirs.scores
            low, high = difference_intervals(differences, ours.task, ours.document)
            gains = np.stack([differences.mean(axis=1), low, high], axis=1).tolist()
            found |= dict(zip(names, gains, strict=True))
        return found

    def _alike(self, others: Mapping[str, str]) -> Iterator[tuple[list[str], tuple[ScoreTable, ScoreTable]]]:
        """(cells, (their scores, the others')) of each group of cells that share the same samples with their others."""
        starts = np.searchsorted(self.scores.cell, np.arange(len(self.scores.cells) + 1))
        groups: dict[tuple[bytes, bytes], list[str]] = {}
        for cell, other in others.items():
            key = self._samples(starts, cell).tobytes(), self._samples(starts, other).tobytes()
            groups.setdefault(key, []).append(cell)
        for cells in groups.values():
            rivals = [others[cell] for cell in cells]
            ours, theirs = self._samples(starts, cells[0]), self._samples(starts, rivals[0])
            shared, in_ours, in_theirs = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
            order = np.argsort(self.of_sample[shared], kind="stable")
            document = self.of_sample[shared][order]
            if len(shared):
                our_table = self._table(starts, cells, in_ours[order], document)
                yield cells, (our_table, self._table(starts, rivals, in_theirs[order], document))

    def _samples(self, starts: Integers, cell: str) -> Integers:
        number = self.scores.cells[cell]
        return self.scores.sample[starts[number] : starts[number + 1]]

    def _table(self, starts: Integers, cells: Sequence[str], places: Integers, document: Integers) -> ScoreTable:
        """The scores of cells at some places among their own."""
        first = starts[[self.scores.cells[cell] for cell in cells]]
        scores: Floats = self.scores.score[np.add.outer(first, places)]
        return ScoreTable(cells, scores, np.zeros(len(places), dtype=np.int64), document)


def read_shared_intervals(db: Database, cells: Sequence[str]) -> dict[str, list[float]]:
    """By cell its interval [low, high], of those among some cells whose samples share documents.

    Scores are read of these cells alone.
    """
    lists = read_sample_lists(db, cells)
    distinct = {id(samples): samples for samples in lists.values()}
    documents = read_documents(db, sorted({sample for samples in distinct.values() for sample in samples}))
    if len(set(documents.values())) == len(documents):
        return {}
    sharing = {number for number, samples in distinct.items() if _shares(samples, documents)}
    chosen = [cell for cell, samples in lists.items() if id(samples) in sharing]
    return Documents.read(db, read_scores(db, chosen)).intervals(chosen)


def _shares(samples: Sequence[str], documents: Mapping[str, str]) -> bool:
    named = [documents[sample] for sample in samples if sample in documents]
    return len(set(named)) < len(named)
