"""How many samples settle a comparison by score, by KL and by the reference's likelihood, and whether they agree.

    python tests/benchmarks/settling.py RESULTS.db [--pairs N] [--task T,T]

Of a database in which fidelity was measured. For each task and budget every two configurations are a pair. How many
samples a measure needs to settle a pair is the normal approximation of `compare` (column needs): p below 0.05, four
times of five; six at least, since no test settles with fewer. Of each task N pairs are listed that the scores settle
within the samples that there are, those that take most samples first.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from tqdm import tqdm

from lukv_bench.db.database import Database
from lukv_bench.db.documents import read_documents
from lukv_bench.db.labels import budget_label, method_name
from lukv_bench.db.measures import MEASURES, Measure, read_values
from lukv_bench.db.results import Row, read_results
from lukv_bench.db.statistics.paired import Paired, TaskScores, compare_tasks
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BY = ("score", "kl", "nll")
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two cells of a task at a budget, compared by each measure."""

    task: str
    names: tuple[str, str]
    paired: dict[str, Paired]

    @property
    def settled(self) -> bool:
        """Whether the scores settle it."""
        return self.paired["score"].p_value < LEVEL

    def needs(self, by: str) -> int:
        """Samples that settle it; no test settles with fewer than six."""
        return max(6, self.paired[by].samples_needed or 10**9)

    def agrees(self, by: str) -> bool:
        """Whether a measure favours the one that the scores favour."""
        return MEASURES[by].favours_a(self.paired[by]) == MEASURES["score"].favours_a(self.paired["score"])


@dataclass(frozen=True)
class Values:
    """A measure of every answer: by cell the samples that have it, in order, and what they have."""

    measure: Measure
    of: Mapping[str, tuple[IntArray, FloatArray]]
    documents: Sequence[str]

    @classmethod
    def read(cls, store: Database, cells: Sequence[str], measure: Measure) -> Self:
        found = read_values(store, cells, measure)
        documents = read_documents(store, found.samples)
        order = np.lexsort((found.sample, found.cell))
        ends = np.cumsum(np.bincount(found.cell, minlength=len(found.cells)))
        samples, scores = (np.split(each[order], ends[:-1]) for each in (found.sample, found.score))
        of = {cell: (samples[number], scores[number]) for cell, number in found.cells.items()}
        return cls(measure, of, [documents.get(sample, sample) for sample in found.samples])

    def compared(self, *pairs: tuple[str, str]) -> Paired:
        """Two cells a task over the same samples; tasks weigh the same."""
        return self.measure.shown(compare_tasks([self._of(*pair) for pair in pairs]))

    def _of(self, a: str, b: str) -> TaskScores:
        (samples, of_a), (others, of_b) = self.of[a], self.of[b]
        if not np.array_equal(samples, others):
            raise SystemExit(f"{a[:8]} and {b[:8]} have {self.measure.name} of other samples")
        return TaskScores(of_a, of_b, np.array([self.documents[sample] for sample in samples]))


def pairs_of(store: Store, rows: Sequence[Row]) -> Iterator[Pair]:
    """Every two cells of the same task and budget, but for oracles."""
    places: dict[tuple[str, int | None, str], list[Row]] = {}
    for row in rows:
        if row["n_fidelity"] == row["n"] and row["allocator"] != "full" and not row["is_oracle"]:
            places.setdefault((row["task"], row["length"], budget_label(row)), []).append(row)
    cells = [row["cell"] for same in places.values() for row in same]
    values = {by: Values.read(store, cells, MEASURES[by]) for by in BY}
    for (task, _, budget), same in tqdm(places.items()):
        for a, b in combinations(same, 2):
            found = {by: values[by].compared((a["cell"], b["cell"])) for by in BY}
            yield Pair(task, (f"{method_name(a)}, {budget}", f"{method_name(b)}, {budget}"), found)


def correlations(rows: Sequence[Row]) -> None:
    """Print how well each measure orders the cells of a task as their scores do."""
    for task in sorted({row["task"] for row in rows}):
        cells = [row for row in rows if row["task"] == task and row["n_fidelity"] and row["allocator"] != "full"]
        scores = np.array([row["score"] for row in cells])
        for name, column in (("KL", "kl_nats"), ("NLL", "reference_nll"), ("agreement", "agreement")):
            rho = spearmanr(scores, [row[column] for row in cells]).statistic
            print(f"{task}: rank correlation of score and {name} over {len(cells)} cells: {rho:+.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("database", type=Path)
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--task", help="only these tasks, with commas between them")
    given = options.parse_args()
    with Store.open(resolve_url(str(given.database)), create=False) as store:
        rows = read_results(store)
        tasks = given.task.split(",") if given.task else {row["task"] for row in rows}
        rows = [row for row in rows if row["task"] in tasks]
        pairs = list(pairs_of(store, rows))
    if not pairs:
        raise SystemExit(f"no two configurations to compare on {', '.join(sorted(tasks))}")
    correlations(rows)
    settled = [pair for pair in pairs if pair.settled]
    print(
        f"{len(pairs)} pairs, {len(settled)} settled by their scores over {pairs[0].paired['score'].n_samples} samples"
    )
    if not settled:
        return
    for by in BY[1:]:
        share = sum(pair.agrees(by) for pair in settled) / len(settled)
        also = sum(pair.paired[by].p_value < LEVEL for pair in pairs)
        ratio = median(pair.needs("score") / pair.needs(by) for pair in settled)
        print(f"{by}: favours the same one in {share:.0%} of these, settles {also}; median {ratio:.1f} x fewer samples")
    print("\n| task | A | B | difference in score | needs: score | KL | NLL |\n|---|---|---|---|---|---|---|")
    for task in sorted({pair.task for pair in settled}):
        of_task = sorted((pair for pair in settled if pair.task == task), key=lambda pair: -pair.needs("score"))
        for pair in of_task[: given.pairs]:
            difference = pair.paired["score"].difference
            numbers = " | ".join(str(pair.needs(by)) for by in BY)
            print(f"| {task} | {pair.names[0]} | {pair.names[1]} | {difference:+.1f} | {numbers} |")


if __name__ == "__main__":
    main()
