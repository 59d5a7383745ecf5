"""Scores of many configurations over the same samples of the same tasks, as one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .arrays import Floats, Integers


@dataclass(frozen=True)
class ScoreTable:
    """Scores of C configurations that all answered the same S samples, which are sorted by task and document.

    Attributes:
        configurations: Ids of the configurations, C of them.
        scores: [C, S], 0 to 100.
        task: [S], the number of each sample's (task, length): 0, 1, ...
        document: [S], the number of the document that the sample asks about; those of one document are not independent.
    """

    configurations: Sequence[str]
    scores: Floats
    task: Integers
    document: Integers

    @property
    def weight(self) -> Floats:
        """[S], summing to 1: tasks weigh the same, and so do the samples of one task."""
        n = np.bincount(self.task)
        weight: Floats = 1 / (len(n) * n[self.task])
        return weight

    @property
    def first_of_document(self) -> Integers:
        """[D], where each document's samples begin."""
        return np.flatnonzero(np.r_[True, np.diff(self.document) != 0])

    def by_task(self) -> list[tuple[Floats, Integers]]:
        """(scores [C, samples], document [samples]) of each task."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.task) != 0])[: len(self.task)]
        bounds = [*starts.tolist(), len(self.task)]
        return [(self.scores[:, a:b], self.document[a:b]) for a, b in pairwise(bounds)]

    def means(self) -> Floats:
        """[C], each configuration's mean over tasks of its mean over samples."""
        of_tasks = [scores.mean(axis=1) for scores, _ in self.by_task()]
        means: Floats = np.sum(of_tasks or [np.zeros(len(self.scores))], axis=0) / max(1, len(of_tasks))
        return means
