"""Methods over all their budgets, as people and programs read them: areas under quality against budget."""

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ...db.areas import AREA_COLUMNS, Areas
from ...db.queries import to_records
from ..errors import printable
from .columns import as_json
from .latex import latex_table
from .layout import fitted
from .table import print_json, print_note, terminal_width

NOTE = (
    "area: the mean score, 0 to 100, over the budgets between the smallest and the largest (trapezoids over the share "
    "of the cache kept, or over the tokens that a head keeps), with its 95% interval over the same samples; loss: what "
    "is lost of the full cache's score, in percent, with its 95% interval; rank: shared where a sign-flip test, "
    "Holm-corrected for all pairs, does not part methods. Methods with other budgets are ranked apart."
)
MOST = 10
"""Methods without an area that are named; the rest are counted."""


def print_areas(found: Sequence[Areas]) -> None:
    """A table on stdout for everything that may be ranked together."""
    for title, columns, remarks in _tables(found):
        print("\n".join(fitted(title, columns, terminal_width())[0]), end="\n\n")
        for line in remarks:
            print_note(line)
    print_note(NOTE)


def areas_markdown(found: Sequence[Areas]) -> str:
    """The same in Markdown."""
    lines = []
    for title, columns, remarks in _tables(found):
        lines += [f"{title}:", "", _line([*columns]), "|" + "---|" * len(columns)]
        lines += [_line(values) for values in zip(*columns.values(), strict=True)]
        lines += ["", *(f"- {line}" for line in remarks), ""]
    return "\n".join([*lines, NOTE])


def areas_latex(found: Sequence[Areas]) -> str:
    """The same as LaTeX tables."""
    return "\n".join(latex_table(title, columns) for title, columns, _ in _tables(found))


def print_areas_json(found: Sequence[Areas]) -> None:
    """One JSON array on stdout: the methods of all tables."""
    print_json(area_rows(found))


def print_areas_csv(found: Sequence[Areas]) -> None:
    """CSV on stdout."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["setting", *AREA_COLUMNS])
    for row in area_rows(found):
        writer.writerow(as_json(value) for value in row.values())


def area_rows(found: Sequence[Areas]) -> list[dict[str, Any]]:
    """A row per method, with `setting` (what the methods of a table share) and AREA_COLUMNS."""
    return [{"setting": each.title} | row for each in found for row in to_records(each.frame)]


def budgets_text(budgets: Sequence[str]) -> str:
    """Several budgets in a few words: "prune 0.25 to 0.95 (6)"."""
    first, last = budgets[0], budgets[-1]
    return f"{first} to {last.split(' ', 1)[-1]} ({len(budgets)})"


def _tables(found: Sequence[Areas]) -> list[tuple[str, dict[str, list[str]], list[str]]]:
    """(title, columns, remarks) of each."""
    return [(printable(each.title), _columns(to_records(each.frame)), _remarks(each)) for each in found]


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    columns = {
        "rank": [str(row["rank"]) for row in rows],
        "places": [f"{row['best_place']}-{row['worst_place']}" for row in rows],
        "method": [printable(row["method"]) for row in rows],
        "budget": [printable(budgets_text(row["budgets"])) for row in rows],
    }
    names = [*zip(columns["method"], columns["budget"], strict=True)]
    if len(set(names)) < len(names):
        columns["configuration"] = [row["configuration"][:8] for row in rows]
    columns["area [95%]"] = [_with_interval(row["area"], row["interval_low"], row["interval_high"]) for row in rows]
    columns["loss, % [95%]"] = [_with_interval(row["loss_percent"], row["loss_low"], row["loss_high"]) for row in rows]
    return columns


def _with_interval(value: float | None, low: float, high: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _remarks(areas: Areas) -> list[str]:
    lines = [f"no area, since there are not two budgets: {name}" for name in areas.single[:MOST]]
    if len(areas.single) > MOST:
        lines.append(f"... and {len(areas.single) - MOST} more methods")
    if areas.n_incomplete:
        lines.append(f"{areas.n_incomplete} incomplete configurations are left out; --by task names them")
    return [printable(line) for line in lines]


def _line(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
