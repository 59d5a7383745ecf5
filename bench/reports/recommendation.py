"""A recommendation as the terminal shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...db.advice import NOTE, deciding_run, decision, heading, remarks
from ...db.need import Need
from ...db.recommendation import Candidates
from ...db.sizes import size
from ..errors import printable
from .layout import fitted
from .table import print_note, terminal_width

MOST = 10
"""Candidates that are shown; the rest are counted."""


def print_recommendation(found: Sequence[Candidates], need: Need) -> None:
    """A table and a decision on stdout for every full cache."""
    for each in found:
        rows = each.rows
        print(printable(each.title))
        if rows:
            lines, _ = fitted(heading(each, need), _columns(rows[:MOST]), terminal_width())
            print("\n".join(lines), end="\n\n")
        else:
            print(heading(each, need), end="\n\n")
        if len(rows) > MOST:
            print_note(f"{len(rows) - MOST} more fit; --json has them all.")
        for line in (*remarks(each, need), *decision(each, need)):
            print_note(printable(line))
        if command := deciding_run(each, need):
            print(f"\n    {printable(command)}")
        print()
    print_note(NOTE)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    columns = {
        "method": [printable(row["method"]) for row in rows],
        "budget": [printable(row["budget"]) for row in rows],
    }
    names = [*zip(*columns.values(), strict=True)]
    if len(set(names)) < len(names):
        columns["configuration"] = [row["configuration"][:8] for row in rows]
    return columns | {
        "KV": [size(row["kv_bytes"]) for row in rows],
        "quality [95%]": [f"{row['quality']:.1f}% [{row['low']:.1f}, {row['high']:.1f}]" for row in rows],
        "n": [str(row["n_samples"]) for row in rows],
        "standing": [row["standing"] for row in rows],
    }
