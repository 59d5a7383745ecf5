"""How often 95% intervals hold the truth, by simulation: the figures of docs/decisions/009-statistics.md.

python tests/benchmarks/coverage.py    (some minutes on one core)
"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm, t

from lukv_bench.db.statistics.frontier import frontier_band
from lukv_bench.db.statistics.intervals import difference_intervals, score_intervals, wilson
from lukv_bench.db.statistics.table import ScoreTable

N = 4000
N_FRONTIER = 400
N_RESAMPLED = 500
Ends = tuple[np.ndarray, np.ndarray]


def graded(rng: np.random.Generator, kind: str, n: int) -> tuple[np.ndarray, float]:
    """Scores [N, n] of one task, and their mean."""
    if kind == "right/wrong, 70%":
        return 100.0 * (rng.uniform(size=(N, n)) < 0.7), 70.0
    if kind == "thirds":
        return rng.binomial(3, 0.7, (N, n)) / 3 * 100, 70.0
    if kind == "narrow graded scores":
        return np.clip(rng.normal(25, 6, (N, n)), 0, 100), 25.0
    return rng.choice([0.0, 40.0, 66.0, 100.0], p=[0.3, 0.2, 0.2, 0.3], size=(N, n)), 51.2


def shared(rng: np.random.Generator, documents: int, questions: int) -> tuple[np.ndarray, float]:
    """Right and wrong answers [N, documents * questions], correlated by 0.4 within a document, and their mean."""
    of_document = rng.beta(0.6 * 1.5, 0.4 * 1.5, (N, documents, 1))
    return 100.0 * (rng.uniform(size=(N, documents, questions)) < of_document).reshape(N, -1), 60.0


def table_of(scores: np.ndarray, questions: int = 1) -> ScoreTable:
    """One task's scores [configurations, samples], some questions a document."""
    n = scores.shape[1]
    return ScoreTable([""] * len(scores), scores, np.zeros(n, np.int64), np.arange(n) // questions)


def share(ends: Ends, truth: float) -> str:
    """How often the intervals hold the truth, in percent, and how wide they are."""
    low, high = ends
    return f"{100 * ((low <= truth) & (truth <= high)).mean():.1f} (width {(high - low).mean():.1f})"


def scores() -> Iterator[str]:
    """Means of graded scores: Wilson's interval over the number of samples, and ours."""
    yield "| scores | n | Wilson's | ours |\n|---|---|---|---|"
    for kind in ("right/wrong, 70%", "thirds", "narrow graded scores", "F1"):
        for n in (12, 60):
            values, truth = graded(np.random.default_rng(0), kind, n)
            plain = wilson(values.mean(axis=1), np.full(N, n))
            yield f"| {kind} | {n} | {share(plain, truth)} | {share(score_intervals(table_of(values)), truth)} |"
    for documents, questions in ((15, 4), (40, 5)):
        values, truth = shared(np.random.default_rng(0), documents, questions)
        plain = wilson(values.mean(axis=1), np.full(N, documents * questions))
        ours = score_intervals(table_of(values, questions))
        name = f"{documents} documents x {questions} questions"
        yield f"| {name} | {documents * questions} | {share(plain, truth)} | {share(ours, truth)} |"


def differences() -> Iterator[str]:
    """Means of 12 differences: Bonett and Price's interval, Student's, the percentile bootstrap's, ours."""
    yield "| differences | theirs | Student | percentile bootstrap | ours |\n|---|---|---|---|---|"
    rng = np.random.default_rng(1)
    n = 12
    kinds = {
        "right/wrong, 30% won, 10% lost": (rng.choice([100.0, -100.0, 0.0], p=[0.3, 0.1, 0.6], size=(N, n)), 20.0),
        "right/wrong, 10% won, 5% lost": (rng.choice([100.0, -100.0, 0.0], p=[0.1, 0.05, 0.85], size=(N, n)), 5.0),
    }
    for kind in ("thirds", "narrow graded scores", "F1"):
        (a, _), (b, _) = graded(rng, kind, n), graded(rng, kind, n)
        kinds[kind] = (np.where(rng.uniform(size=a.shape) < 0.4, a, b) - a, 0.0)
    for kind, (values, truth) in kinds.items():
        mean = values.mean(axis=1)
        half = t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
        adjusted = np.hstack([values, np.tile([100.0, -100.0], (N, 1))])
        centre, reach = adjusted.mean(axis=1), norm.ppf(0.975) * adjusted.std(axis=1) / np.sqrt(n + 2)
        drawn = values[:, rng.integers(0, n, (N_RESAMPLED, n))].mean(axis=2)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
        ours = difference_intervals(values, np.zeros(n, np.int64), np.arange(n))
        all_of = ((centre - reach, centre + reach), (mean - half, mean + half), (low, high), ours)
        yield f"| {kind} | " + " | ".join(share(ends, truth) for ends in all_of) + " |"


def frontier() -> Iterator[str]:
    """The best of many, 24 samples that are equally hard for all: the band, the winner's interval, the bootstrap."""
    yield "| configurations | band | the winner's own interval | percentile bootstrap of the best |\n|---|---|---|---|"
    kinds = {
        "5 that tie": np.full(5, 0.6),
        "40 that tie": np.full(40, 0.6),
        "one best of 20": np.array([0.6] + 19 * [0.3]),
        "20 on a slope": np.linspace(0.3, 0.7, 20),
    }
    for kind, right in kinds.items():
        rng, ends = np.random.default_rng(0), []
        for _ in range(N_FRONTIER):
            ease = np.sqrt(0.5) * (rng.normal(size=24) + rng.normal(size=(len(right), 24)))
            table = table_of(100.0 * (ease < norm.ppf(right)[:, None]))
            band = frontier_band(table, np.zeros(len(right)), np.zeros(1))
            low, high = score_intervals(table)
            best = table.means().argmax()
            drawn = table.scores[:, rng.integers(0, 24, (N_RESAMPLED, 24))].mean(axis=2).max(axis=0)
            ends.append((band[0][0], band[1][0], low[best], high[best], *np.quantile(drawn, [0.025, 0.975])))
        columns = np.array(ends).T
        pairs = [(columns[place], columns[place + 1]) for place in (0, 2, 4)]
        yield f"| {kind} | " + " | ".join(share(pair, 100 * right.max()) for pair in pairs) + " |"


if __name__ == "__main__":
    for part in (scores, differences, frontier):
        for line in part():
            print(line, flush=True)
        print()
