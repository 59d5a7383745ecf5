"""Ranked configurations as people and programs read them."""

import csv
import sys
from collections.abc import Sequence
from typing import Any

from ...db.board import BOARD_COLUMNS, Board
from ..errors import printable
from .columns import MIB, as_json
from .latex import latex_table
from .layout import fitted
from .table import print_json, print_note, terminal_width

NOTE = (
    "score: 0 to 100, mean over tasks, which weigh the same, with its 95% interval; rank: shared where a sign-flip "
    "test over the same samples, Holm-corrected for all pairs, does not part configurations; places: where these tests "
    "leave each; vs {against}: the mean paired difference with its 95% interval; KV kept: the evicted cache's own "
    "bytes, mean over tasks."
)
_PARETO = (
    "on the frontier: no other configuration keeps no more bytes and scores no less; {n} of {all} are. frontier [95%]: "
    "where the score of the best configuration that keeps no more bytes lies; it reaches further down than a score's "
    "own interval, since the best of many owes part of its score to luck."
)
MOST = 10
"""Incomplete configurations that are named; the rest are counted."""


def print_board(boards: Sequence[Board], against: str, only_frontier: bool) -> None:
    """A table on stdout for every board."""
    for board in boards:
        lines, _ = fitted(printable(board.title), _columns(board, against, only_frontier), terminal_width())
        print("\n".join(lines), end="\n\n")
        for line in _remarks(board, only_frontier):
            print_note(line)
    print_note(NOTE.format(against=against))


def board_markdown(boards: Sequence[Board], against: str, only_frontier: bool) -> str:
    """The same in Markdown."""
    lines = []
    for board in boards:
        columns = _columns(board, against, only_frontier)
        lines += [f"{printable(board.title)}:", "", _line(columns), "|" + "---|" * len(columns)]
        lines += [_line(values) for values in zip(*columns.values(), strict=True)]
        lines += ["", *(f"- {line}" for line in _remarks(board, only_frontier)), ""]
    return "\n".join([*lines, NOTE.format(against=against)])


def board_latex(boards: Sequence[Board], against: str, only_frontier: bool) -> str:
    """The same as LaTeX tables."""
    return "\n".join(latex_table(board.title, _columns(board, against, only_frontier)) for board in boards)


def print_board_json(boards: Sequence[Board], only_frontier: bool) -> None:
    """One JSON array on stdout: the ranked configurations of all boards."""
    print_json([row for board in boards for row in _shown(board, only_frontier)])


def print_board_csv(boards: Sequence[Board], only_frontier: bool) -> None:
    """CSV on stdout with a column for each part."""
    parts = list(dict.fromkeys(part for board in boards for part in board.parts))
    writer = csv.writer(sys.stdout)
    writer.writerow([*BOARD_COLUMNS[:-1], *(f"score: {part}" for part in parts)])
    for row in (row for board in boards for row in _shown(board, only_frontier)):
        writer.writerow([*(as_json(row[name]) for name in BOARD_COLUMNS[:-1]), *(row["parts"].get(p) for p in parts)])


def _shown(board: Board, only_frontier: bool) -> list[dict[str, Any]]:
    return [row for row in board.rows if row["is_on_frontier"] or not only_frontier]


def _columns(board: Board, against: str, only_frontier: bool) -> dict[str, list[str]]:
    rows = _shown(board, only_frontier)
    columns = {
        "rank": [str(row["rank"]) for row in rows],
        "places": [f"{row['best_place']}-{row['worst_place']}" for row in rows],
        "method": [printable(row["method"]) for row in rows],
        "budget": [printable(row["budget"]) for row in rows],
    }
    names = [*zip(columns["method"], columns["budget"], strict=True)]
    if len(set(names)) < len(names):
        columns["configuration"] = [row["configuration"][:8] for row in rows]
    columns |= {
        "score [95%]": [f"{row['score']:.1f} [{row['interval'][0]:.1f}, {row['interval'][1]:.1f}]" for row in rows],
        f"vs {against} [95%]": ["" if row["gain"] is None else _gain(*row["gain"]) for row in rows],
    }
    if only_frontier:
        columns["frontier [95%]"] = [f"[{row['frontier'][0]:.1f}, {row['frontier'][1]:.1f}]" for row in rows]
    for part in board.parts:
        columns[printable(part)] = [f"{row['parts'][part]:.1f}" for row in rows]
    columns["KV kept, MiB"] = [
        "" if row["kv_bytes_kept"] is None else f"{row['kv_bytes_kept'] / MIB:.2f}" for row in rows
    ]
    return columns


def _gain(mean: float, low: float, high: float) -> str:
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _remarks(board: Board, only_frontier: bool) -> list[str]:
    """What is not in the table, and why."""
    lines = []
    if only_frontier:
        lines.append(_PARETO.format(n=sum(row["is_on_frontier"] for row in board.rows), all=len(board.rows)))
    for one in board.incomplete[:MOST]:
        name = one["method"] if one["budget"] == "-" else f"{one['method']}, {one['budget']}"
        lines.append(printable(f"incomplete, not ranked: {name}: {'; '.join(one['missing'])}"))
    if len(board.incomplete) > MOST:
        lines.append(f"... and {len(board.incomplete) - MOST} more incomplete configurations")
    return lines


def _line(values: Sequence[str] | dict[str, list[str]]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
