"""Results as people and programs read them: a table in the terminal, Markdown, JSON, CSV."""

import json
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence

from ...db.comparable import Row, Text
from ..errors import printable
from .columns import as_json, groups
from .latex import latex_table
from .layout import fitted
from .notes import dropped_note, equal_kept, note, reasons, shared_documents

_NOTE_WIDTH = 120


def terminal_width() -> int | None:
    """Columns of the terminal behind stdout; None where stdout is none, and nothing needs to fit."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(rows: Sequence[Row], against: str = "uniform", explained: Collection[str] = ()) -> None:
    """A table on stdout for every group of rows that may stand together, and what there is to say about them.

    Why the cells in `explained` failed is said elsewhere.
    """
    width = terminal_width()
    for group in groups(rows, against):
        columns = {name: _texts(text, group.rows) for name, text in group.columns.items()}
        lines, dropped = fitted(printable(group.title), columns, width)
        print("\n".join(lines), end="\n\n")
        if dropped:
            print_note(dropped_note(dropped))
    for line in reasons([row for row in rows if row["cell"] not in explained]):
        print_note(line)
    for line in (*shared_documents(rows), *equal_kept(rows)):
        print_note(line)
    print_note(note(rows, against))


def _texts(text: Text, rows: Sequence[Row]) -> list[str]:
    """A column's values, printable."""
    values = [text(row) for row in rows]
    return values if "".join(values).isprintable() else [printable(value) for value in values]


def print_note(text: str) -> None:
    """A paragraph on stdout, no wider than the terminal."""
    print(textwrap.fill(printable(text), min(terminal_width() or _NOTE_WIDTH, _NOTE_WIDTH), break_long_words=False))


def markdown(rows: Sequence[Row], against: str = "uniform") -> str:
    """The same tables in Markdown."""
    lines = []
    for group in groups(rows, against):
        lines += [f"{printable(group.title)}:", "", _markdown_line(group.columns), "|" + "---|" * len(group.columns)]
        lines += [_markdown_line(text(row) for text in group.columns.values()) for row in group.rows]
        lines.append("")
    failures = [f"- {printable(line)}" for line in (*reasons(rows), *shared_documents(rows), *equal_kept(rows))]
    return "\n".join([*lines, *failures, *([""] if failures else []), note(rows, against)])


def latex(rows: Sequence[Row], against: str = "uniform") -> str:
    """The same tables in LaTeX."""
    return "\n".join(
        latex_table(group.title, {name: [text(row) for row in group.rows] for name, text in group.columns.items()})
        for group in groups(rows, against)
    )


def _markdown_line(values: Iterable[str]) -> str:
    return "| " + " | ".join(printable(value).replace("|", "\\|") for value in values) + " |"


def print_json(rows: Sequence[Row]) -> None:
    """One JSON array on stdout, a row a line."""
    lines = ",\n ".join(json.dumps(row, allow_nan=False) for row in rows)  # an indent would cost C's encoder
    print(f"[{lines}]")


def print_csv(rows: Sequence[Row]) -> None:
    """CSV on stdout, nulls empty, nested values as JSON."""
    import csv

    from ...db.queries import COMPARED_COLUMNS

    writer = csv.writer(sys.stdout)
    writer.writerow(COMPARED_COLUMNS)
    for row in rows:
        writer.writerow(as_json(row[name]) for name in COMPARED_COLUMNS)
