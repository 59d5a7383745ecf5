"""Who wins at each budget, over all tasks of a database: every method against two others, by score and by KL.

    python tests/benchmarks/field.py RESULTS.db [--against "uniform x keydiff"] [--against "lukv x keydiff"] [--ratio R]

Prints a table per budget. Differences are paired over the samples, tasks weigh the same, p-values are of the sign-flip
test with Holm's correction over all methods of the budget, for each reference and measure. The full cache and oracles
are left out; methods that lack a task are named. Of a database of one setting, with each task at one length.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from settling import Values

from lukv_bench.db.labels import method_name
from lukv_bench.db.measures import MEASURES
from lukv_bench.db.reader import Reader
from lukv_bench.db.results import Row, read_results
from lukv_bench.db.statistics.families import holm
from lukv_bench.db.statistics.paired import Paired
from lukv_bench.db.urls import resolve_url

BY = ("score", "kl")
AGAINST = ("uniform x keydiff", "lukv x keydiff")
BOLD = 0.05
"""An adjusted p-value below it is bold."""

Methods = Mapping[str, Mapping[str, Row]]
"""By method and task a cell at one budget."""


def is_ranked(row: Row) -> bool:
    """Whether a row is a complete result of a method, with its KL."""
    is_whole = row["status"] == "complete" and row["n_fidelity"] == row["n"] and row["ratio"] is not None
    return is_whole and row["allocator"] != "full" and not row["is_oracle"]


def short_names(rows: Sequence[Row]) -> dict[str, str]:
    """Methods without their arguments by their whole names, where that tells them apart."""
    short = {method_name(row): f"{row['allocator']} x {row['scorer']}" for row in rows}
    return {whole: name if [*short.values()].count(name) == 1 else whole for whole, name in short.items()}


def methods_at(rows: Sequence[Row], ratio: float, tasks: Sequence[str]) -> Methods:
    """The methods that are complete on every task."""
    found: dict[str, dict[str, Row]] = {}
    short = short_names(rows)
    for row in rows:
        if row["ratio"] == ratio:
            cells = found.setdefault(short[method_name(row)], {})
            if row["task"] in cells:
                raise SystemExit(f"{method_name(row)} has several results on {row['task']} at {ratio:g}")
            cells[row["task"]] = row
    lacking = sorted(name for name, cells in found.items() if len(cells) < len(tasks))
    if lacking:
        print(f"\nLeft out at {ratio:g}, without a task: {', '.join(lacking)}")
    return {name: cells for name, cells in found.items() if name not in lacking}


def compared(values: Values, methods: Methods, against: str, tasks: Sequence[str]) -> dict[str, tuple[Paired, float]]:
    """Each other method's comparison with one, and its adjusted p-value."""
    if against not in methods:
        raise SystemExit(f"no {against} among {', '.join(methods)}")
    others = [name for name in methods if name != against]
    pairs = [
        values.compared(*((methods[name][task]["cell"], methods[against][task]["cell"]) for task in tasks))
        for name in others
    ]
    adjusted = holm(np.array([pair.p_value for pair in pairs]))[1].tolist()
    return dict(zip(others, zip(pairs, adjusted, strict=True), strict=True))


def shown(found: tuple[Paired, float] | None, digits: int) -> str:
    """A difference with its interval and its adjusted p-value."""
    if found is None:
        return ""
    pair, p = found
    text = f"{pair.difference:+.{digits}f} [{pair.low:+.{digits}f}, {pair.high:+.{digits}f}]"
    return f"**{text}** p={p:.2g}" if p < BOLD else f"{text} p={p:.2g}"


def table(
    values: Mapping[str, Values], methods: Methods, against: Sequence[str], tasks: Sequence[str]
) -> Iterator[str]:
    """Markdown: the methods by mean score and KL."""
    found = {(by, other): compared(values[by], methods, other, tasks) for by in BY for other in against}
    heads = [*tasks, *(f"score less {other}" for other in against), "KL", *(f"KL less {other}" for other in against)]
    yield f"| method | {' | '.join(heads)} |"
    yield "|---" * (1 + len(heads)) + "|"

    def mean(name: str, column: str) -> float:
        return float(np.mean([methods[name][task][column] for task in tasks]))

    for name in sorted(methods, key=lambda each: (-mean(each, "score"), mean(each, "kl_nats"))):
        scores = [f"{methods[name][task]['score']:.0f}" for task in tasks]
        by_score, by_kl = (
            [shown(found[by, other].get(name), digits) for other in against]
            for by, digits in zip(BY, (0, 3), strict=True)
        )
        yield f"| {' | '.join([name, *scores, *by_score, format(mean(name, 'kl_nats'), '.3f'), *by_kl])} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("database", type=Path)
    options.add_argument("--against", action="append", metavar="METHOD")
    options.add_argument("--ratio", action="append", type=float)
    given = options.parse_args()
    with Reader.open(resolve_url(str(given.database))) as reader:
        rows = [row for row in read_results(reader) if is_ranked(row)]
        tasks = sorted({row["task"] for row in rows})
        values = {by: Values.read(reader, [row["cell"] for row in rows], MEASURES[by]) for by in BY}
    for ratio in given.ratio or sorted({row["ratio"] for row in rows}):
        methods = methods_at(rows, ratio, tasks)
        print(f"\n## prune {ratio:g}, {len(methods)} methods\n")
        print(*table(values, methods, given.against or AGAINST, tasks), sep="\n")


if __name__ == "__main__":
    main()
