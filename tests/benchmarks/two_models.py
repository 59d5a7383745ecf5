"""Which conclusions carry over from one model to another: the same configurations on the same tasks, side by side.

    python tests/benchmarks/two_models.py FIRST.db SECOND.db

Prints for each task the scores and the KL of all configurations that both databases have in full, and how well the
second model's order of them agrees with the first's (Spearman's rank correlation), by score and by KL. Allocators and
scorers are matched by name, whatever their arguments.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from scipy.stats import spearmanr

from lukv_bench.db.reader import Reader
from lukv_bench.db.results import Row, read_results
from lukv_bench.db.urls import resolve_url

Key = tuple[str, str, float]
"""Allocator, scorer, share pruned."""


def read(path: Path) -> dict[str, dict[Key, Row]]:
    """Complete rows by task and configuration."""
    with Reader.open(resolve_url(str(path))) as reader:
        rows = [row for row in read_results(reader) if row["status"] == "complete"]
    tasks: dict[str, dict[Key, Row]] = {}
    for row in rows:
        allocator, scorer = (str(row[name] or "-").partition(":")[0] for name in ("allocator", "scorer"))
        tasks.setdefault(row["task"], {})[allocator, scorer, row["ratio"]] = row
    return tasks


def table(first: dict[Key, Row], second: dict[Key, Row]) -> Iterator[str]:
    """Markdown: a row per method, two columns per budget."""
    both = [key for key in first if key in second]
    ratios = sorted({ratio for allocator, _, ratio in both if allocator != "full"})
    methods = sorted({key[:2] for key in both if key[0] != "full"}, key=lambda each: (each[1], each[0]))
    full = [rows[next(key for key in both if key[0] == "full")]["score"] for rows in (first, second)]
    yield "| method | " + " | ".join(f"prune {ratio:g}: first | second" for ratio in ratios) + " |"
    yield "|---" * (1 + 2 * len(ratios)) + "|"
    yield "| full | " + " | ".join(f"{full[0]:.0f} | {full[1]:.0f}" for _ in ratios) + " |"
    for method in methods:
        cells = (rows.get((*method, ratio)) for ratio in ratios for rows in (first, second))
        shown = ("" if row is None else f"{row['score']:.0f} ({row['kl_nats']:.3f})" for row in cells)
        yield f"| {' x '.join(method)} | {' | '.join(shown)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("first", type=Path)
    options.add_argument("second", type=Path)
    given = options.parse_args()
    firsts, seconds = read(given.first), read(given.second)
    for task in sorted(firsts.keys() & seconds.keys()):
        first, second = firsts[task], seconds[task]
        print(f"\n{task}: score (KL in nats)\n", *table(first, second), sep="\n")
        for ratio in sorted({key[2] for key in first if key in second and key[0] != "full"}):
            keys = [
                key
                for key in first
                if key in second and key[0] != "full" and key[2] == ratio and not first[key]["is_oracle"]
            ]
            by = {
                name: spearmanr([first[key][name] for key in keys], [second[key][name] for key in keys]).statistic
                for name in ("score", "kl_nats")
            }
            print(f"\nprune {ratio:g}, {len(keys)} methods without oracles: rank correlation of the two models")
            print(", ".join(f"{name} {value:+.2f}" for name, value in by.items()))


if __name__ == "__main__":
    main()
