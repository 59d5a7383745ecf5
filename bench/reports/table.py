"""Results as people read them: a table in the terminal, Markdown, JSON, CSV."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from ...db.store import Store

Row = Mapping[str, Any]
"""A row of `db.queries.results_frame`, its `interval` [low, high] and its `gain` over uniform [mean, low, high]."""

SETTING = ("model", "model_revision", "dtype", "protocol", "seed", "code_version")
"""What rows must share to stand in one table: nothing else may be ranked together."""


def result_rows(store: "Store", cells: Sequence[str] | None = None, against: str | None = None) -> list[dict[str, Any]]:
    """Every cell's results with its interval and its paired difference, where both cells are complete.

    Args:
        store: The results.
        cells: Ids; None = all.
        against: What the others are held against, as `db.rivals.parse_against` takes it; None = uniform.

    Raises:
        UserError: `against` names no row, or several that would do for one.
    """
    from ...db.comparison import compare
    from ...db.results import read_results
    from ...db.rivals import UNIFORM, check_unambiguous, find_rivals, parse_against

    rows = read_results(store, cells)
    rule = UNIFORM if against is None else parse_against(against, rows)
    rivals = find_rivals(rows, rule)
    if against is not None:
        check_unambiguous(rivals, rule)
    compare(store, rows, rivals.of)
    return rows


def _budget(row: Row) -> str:
    if row["allocator"] == "full":
        return "-"
    return f"keep {row['keep_tokens']}" if row["keep_tokens"] is not None else f"prune {row['ratio']:g}"


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
    said = ",".join(f"{key}={_value(value)}" for key, value in arguments.items())
    return f"{name or '-'}{':' + said if said else ''}"


def _value(value: Any) -> str:
    """An argument as one would type it; a plugin that is held by another stands in brackets."""
    if not (isinstance(value, dict) and {"name", "arguments"} <= value.keys()):
        return str(value)
    inner = _arguments(value["name"], value["arguments"])
    return f"({inner})" if ":" in inner else inner


COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "task": lambda row: row["task"],
    "length": lambda row: str(row["length"] or "-"),
    "allocator": lambda row: _arguments(row["allocator"], row["allocator_args"]),
    "scorer": lambda row: _arguments(row["scorer"], row["scorer_args"]),
    "budget": _budget,
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


VARYING: Mapping[str, Callable[[Row], str]] = {
    "sink": lambda row: str(row["sink"]),
    "window": lambda row: str(row["window"]),
    "profile": lambda row: (row["profile_hash"] or "-")[:8],
    "truncation": lambda row: row["spec"]["truncation"],
    "template": lambda row: row["spec"]["chat_form"],
    "attention": lambda row: row["spec"]["attention"],
    "task version": lambda row: str(row["task_version"]),
    "data": lambda row: str(row["data_revision"])[:8] or "-",
    "plugins": lambda row: " ".join(_origin(row["spec"][kind]) for kind in ("allocator", "scorer")),
}
"""Shown where rows of the same task, allocator and scorer differ in them, so that no two rows look alike."""


def _origin(method: Mapping[str, Any] | None) -> str:
    """Whose code a plugin is, those that it holds included."""
    if method is None:
        return "-"
    held = [value for value in method["arguments"].values() if isinstance(value, dict) and "distribution" in value]
    return "+".join([f"{method['distribution']} {method['version']}", *map(_origin, held)])


def _events(row: Row) -> str:
    return ", ".join(f"{event} ({n} of {row['n']})" for event, n in row["events"].items()) or "-"


DISPENSABLE = ("tpot s", "ttft s", "length", "n")
"""Columns that a narrow terminal goes without, first to last; numbers are never cut."""


def varying(group: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """The columns of VARYING in which rows of the same task, allocator and scorer differ."""
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in group:
        alike.setdefault(tuple(row[name] for name in ("task", "length", "allocator", "scorer")), []).append(row)
    return {
        name: column
        for name, column in VARYING.items()
        if any(len({column(row) for row in rows}) > 1 for rows in alike.values())
    }


def tables(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row], dict[str, Callable[[Row], str]]]]:
    """(title, rows, columns) of every group of rows that may stand together."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in SETTING), []).append(row)
    for setting, group in groups.items():
        columns = dict(COLUMNS)
        at = list(columns).index("budget")
        ordered = [*list(columns.items())[:at], *varying(group).items(), *list(columns.items())[at:]]
        told = {"events": _events} if any(row["events"] for row in group) else {}
        yield title(setting), group, dict(ordered) | told


def title(setting: Sequence[Any]) -> str:
    """What the rows of a table share, given their values of SETTING."""
    model, revision, dtype, protocol, seed, code = setting
    return f"{model} ({str(revision)[:8]}), {dtype}, {protocol}, seed {seed}, lukv-bench {code}"


def print_table(rows: Sequence[Row]) -> None:
    """A table on stdout for every group of rows that may stand together."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False, emoji=False)
    for title, group, columns in tables(rows):
        table, width = _fitted(title, group, columns, console.width)
        Console(width=max(width, console.width), markup=False, highlight=False, emoji=False).print(table)
    console.print(NOTE)


def _fitted(
    title: str, rows: Sequence[Row], columns: dict[str, Callable[[Row], str]], room: int
) -> tuple["Table", int]:
    """The table and its width, without what the terminal is too narrow for."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    dispensable = list(DISPENSABLE)
    while True:
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=True, justify="left" if name in ("task", "allocator", "scorer") else "right")
        for row in rows:
            table.add_row(*(column(row) for column in columns.values()))
        width = Console(width=1000).measure(table).maximum
        if width <= room or not dispensable:
            return table, width
        columns = {name: column for name, column in columns.items() if name != dispensable[0]}
        dispensable.pop(0)


def markdown(rows: Sequence[Row]) -> str:
    """The same tables in Markdown."""
    lines = []
    for title, group, columns in tables(rows):
        lines += [f"{title}:", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(column(row) for column in columns.values()) + " |" for row in group]
        lines.append("")
    return "\n".join([*lines, NOTE])


def print_json(rows: Sequence[Row]) -> None:
    """One JSON array on stdout."""
    print(json.dumps(list(rows), indent=1, allow_nan=False))


def print_csv(rows: Sequence[Row]) -> None:
    """CSV on stdout, nulls empty, nested values as JSON."""
    import csv

    from ...db.results import COLUMNS as STORED

    names = [*STORED, "interval", "gain", "against"]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for row in rows:
        values = [row[name] for name in names]
        writer.writerow(json.dumps(value) if isinstance(value, list | dict) else value for value in values)
