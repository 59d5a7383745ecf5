"""Results as people read them: a table in the terminal, Markdown, JSON, CSV."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..db.store import Store

Row = Mapping[str, Any]
"""A row of `db.queries.results_frame`, its `interval` [low, high] and its `gain` over uniform [mean, low, high]."""

SAME = ("model_revision", "task", "task_version", "length", "protocol", "dtype", "seed", "code_version")
RIVALS = (*SAME, "scorer", "scorer_args", "ratio", "keep_tokens", "sink", "window")
"""What a cell shares with the uniform cell it is held against."""


def result_rows(store: "Store", cells: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Every cell's results with its interval and its paired difference to uniform, where both are complete."""
    from ..db.queries import results_frame, scores_frame, to_records
    from ..db.stats import mean_interval, paired

    rows = to_records(results_frame(store, cells))
    complete = [row for row in rows if row["status"] == "complete"]
    scores = scores_frame(store, [row["cell"] for row in complete])
    uniform = {_key(row): row["cell"] for row in complete if row["allocator"] == "uniform"}
    for row in rows:
        row["interval"] = row["gain"] = None
    for row in complete:
        found = mean_interval(scores.loc[scores["cell"] == row["cell"], "score"])
        row["interval"] = [found.low, found.high]
        rival = uniform.get(_key(row))
        if rival is not None and row["allocator"] not in ("full", "uniform"):
            gain = paired(scores, row["cell"], rival)
            row["gain"] = [gain.mean, gain.low, gain.high]
    return rows


def _key(row: Row) -> str:
    return json.dumps([row[name] for name in RIVALS], sort_keys=True)


def _budget(row: Row) -> str:
    if row["allocator"] == "full":
        return "-"
    return f"{row['keep_tokens']} tok" if row["keep_tokens"] is not None else f"{row['ratio']:g}"


def _score(row: Row) -> str:
    if row["status"] != "complete":
        return f"{row['status']} ({row['n']} of {row['samples_asked']})"
    low, high = row["interval"]
    return f"{row['score']:.1f} [{low:.1f}, {high:.1f}]"


def _gain(row: Row) -> str:
    if row["gain"] is None:
        return ""
    mean, low, high = row["gain"]
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _kept(row: Row) -> str:
    if row["kv_bytes_kept"] is None:
        return ""
    return f"{row['kv_bytes_kept'] / 2**20:.2f} of {row['kv_bytes_full'] / 2**20:.2f}"


def _arguments(name: str | None, arguments: Mapping[str, Any]) -> str:
    said = ",".join(f"{key}={value}" for key, value in arguments.items())
    return f"{name or '-'}{':' + said if said else ''}"


COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "task": lambda row: row["task"],
    "length": lambda row: str(row["length"] or "-"),
    "allocator": lambda row: _arguments(row["allocator"], row["allocator_args"]),
    "scorer": lambda row: _arguments(row["scorer"], row["scorer_args"]),
    "pruned": _budget,
    "n": lambda row: str(row["n"]),
    "score [95%]": _score,
    "vs uniform [95%]": _gain,
    "KV kept, MiB": _kept,
    "ttft s": lambda row: "" if row["ttft_s"] is None else f"{row['ttft_s']:.2f}",
    "tpot s": lambda row: "" if row["tpot_s"] is None else f"{row['tpot_s']:.3f}",
}
"""A table's columns. Intervals: Wilson for the score, Bonett-Price paired for the difference (`db.stats`)."""

NOTE = (
    "score: 0-100 with its 95% Wilson interval; vs uniform: paired difference over the same samples, 95% "
    "Bonett-Price interval; KV kept: the evicted cache's own bytes, mean over samples; seconds are indicative "
    "(one prefill is shared by all cells of a sample) and never ranked."
)


def print_table(rows: Sequence[Row]) -> None:
    """A table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name in ("task", "allocator", "scorer") else "right")
    for row in rows:
        table.add_row(*(column(row) for column in COLUMNS.values()))
    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    console.print(table)
    console.print(NOTE)


def markdown(rows: Sequence[Row]) -> str:
    """The same table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(column(row) for column in COLUMNS.values()) + " |" for row in rows]
    return "\n".join([*lines, "", NOTE])


def print_json(rows: Sequence[Row]) -> None:
    """One JSON array on stdout."""
    print(json.dumps(list(rows), indent=1, allow_nan=False))


def print_csv(rows: Sequence[Row]) -> None:
    """CSV on stdout, nulls empty, nested values as JSON."""
    import csv

    from ..db.queries import RESULTS_COLUMNS

    names = [*RESULTS_COLUMNS, "interval", "gain"]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        values = [row[name] for name in names]
        writer.writerow(json.dumps(value) if isinstance(value, list | dict) else value for value in values)
