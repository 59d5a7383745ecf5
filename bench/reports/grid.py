"""Results side by side: for every task a table with scorers and allocators down and budgets across, in Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

from .table import COLUMNS, SETTING, Row, title, varying

GRID_NOTE = (
    "Behind uniform's score its 95% Wilson interval; behind every other score, in brackets, the paired difference to "
    "uniform under the same scorer and budget over the same samples, with its 95% Bonett-Price interval."
)


def grid(rows: Sequence[Row]) -> str:
    """Every group of rows that may stand together, task by task."""
    lines: list[str] = []
    for heading, task, group in _groups(rows):
        lines += [f"## {task}", "", f"{heading}. {_full(group)}", "", *_table(group), ""]
    return "\n".join([*lines, GRID_NOTE])


def _groups(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """(title, task, rows) of every group that may stand together on one task at one length."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*(row[name] for name in SETTING), row["task"], row["length"]), []).append(row)
    return [
        (title(key[:-2]), key[-2] if key[-1] is None else f"{key[-2]}, {key[-1]} tokens", group)
        for key, group in groups.items()
    ]


def _full(group: Sequence[Row]) -> str:
    """What the full cache scores, which is what all others are held against."""
    full = [row for row in group if row["allocator"] == "full"]
    told = varying(full)
    said = [
        ", ".join(
            [
                f"Full cache: {COLUMNS['score [95%]'](row)}",
                f"n = {row['n']}",
                *(f"{name} {column(row)}" for name, column in told.items()),
            ]
        )
        + "."
        for row in full
    ]
    return " ".join(said) or "The full cache was not run."


def _table(group: Sequence[Row]) -> Iterator[str]:
    evicted = [row for row in group if row["allocator"] != "full"]
    budgets = list(dict.fromkeys(COLUMNS["budget"](row) for row in evicted))
    names = {"scorer": COLUMNS["scorer"], "allocator": COLUMNS["allocator"], **varying(group)}
    yield "| " + " | ".join([*names, *budgets]) + " |"
    yield "|" + "---|" * (len(names) + len(budgets))
    lines: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in sorted(evicted, key=lambda row: row["scorer"]):
        line = lines.setdefault(tuple(column(row) for column in names.values()), {})
        line.setdefault(COLUMNS["budget"](row), []).append(_cell(row))
    for name, line in lines.items():
        yield "| " + " | ".join([*name, *("; ".join(line.get(budget, ())) for budget in budgets)]) + " |"


def _cell(row: Row) -> str:
    gain = COLUMNS["vs uniform [95%]"](row)
    return f"{row['score']:.1f} ({gain})" if gain else COLUMNS["score [95%]"](row)
