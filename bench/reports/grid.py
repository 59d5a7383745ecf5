"""Results side by side: for every task a table with scorers and allocators down and budgets across, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from ...db.comparable import Row, Text, comparable_by_task, varying
from ...db.labels import allocator_label, budget_label, scorer_label
from ..errors import printable
from .columns import gain, score
from .layout import text_width
from .notes import DIFFERENCE_INTERVAL, SCORE_INTERVAL, reasons, shared_documents

GRID_NOTE = (
    f"Score: 0 to 100, higher is better. Behind {{against}}'s score its {SCORE_INTERVAL}; behind every other score, in "
    "brackets, the paired difference to {against} over the same samples (above 0 is better), with its "
    f"{DIFFERENCE_INTERVAL}. "
    '"prune 0.8" evicts 80% of the context\'s cache, "keep 256" keeps 256 tokens per KV head on average.'
)


def grid(rows: Sequence[Row], width: int | None = None, against: str = "uniform") -> str:
    """Every group of rows that may stand together, task by task; budgets that are too wide stand in tables below."""
    lines: list[str] = []
    for heading, task, group in comparable_by_task(rows):
        lines += [f"## {task}", "", f"{heading}. {_full(group)}", "", *_tables(group, width), ""]
    failures = (f"- {line}" for line in (*reasons(rows), *shared_documents(rows)))
    return "\n".join([*map(printable, [*lines, *failures]), GRID_NOTE.format(against=against)])


def _full(group: Sequence[Row]) -> str:
    """What the full cache scores, which is what all others are held against."""
    full = [row for row in group if row["allocator"] == "full"]
    differing = varying(full)
    scores = [
        ", ".join(
            [
                f"Full cache: {score(row)}",
                f"n = {row['n']}",
                *(f"{name} {column(row)}" for name, column in differing.items()),
            ]
        )
        + "."
        for row in full
    ]
    return " ".join(scores) or "The full cache was not run."


def _tables(group: Sequence[Row], width: int | None) -> Iterator[str]:
    """As many budgets side by side as fit, at least one."""
    evicted = sorted((row for row in group if row["allocator"] != "full"), key=lambda row: row["scorer"] or "")
    names = {"scorer": scorer_label, "allocator": allocator_label, **varying(group)}
    lines: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in evicted:
        line = lines.setdefault(tuple(column(row) for column in names.values()), {})
        line.setdefault(budget_label(row), []).append(_cell(row))
    budgets = list(dict.fromkeys(budget_label(row) for row in group if row["allocator"] != "full"))
    for number, some in enumerate(_portions(names, lines, budgets, width)):
        yield from [""] if number else []
        yield "| " + " | ".join([*names, *some]) + " |"
        yield "|" + "---|" * (len(names) + len(some))
        for name, line in lines.items():
            yield "| " + " | ".join([*name, *("; ".join(line.get(budget, ())) for budget in some)]) + " |"


def _portions(
    names: Mapping[str, Text],
    lines: Mapping[tuple[str, ...], Mapping[str, Sequence[str]]],
    budgets: Sequence[str],
    width: int | None,
) -> list[list[str]]:
    """The budgets of each table."""
    named = [max(map(text_width, column)) for column in zip(names, *lines, strict=True)]
    portions: list[list[str]] = [[]]
    room = left = None if width is None else width - sum(named) - 3 * len(named) - 1
    for budget in budgets:
        cells = [text_width("; ".join(line.get(budget, ()))) for line in lines.values()]
        needed = max([text_width(budget), *cells]) + 3
        if left is not None and room is not None:
            if portions[-1] and needed > left:
                portions.append([])
                left = room
            left -= needed
        portions[-1].append(budget)
    return portions


def _cell(row: Row) -> str:
    difference = gain(row)
    return f"{row['score']:.1f} ({difference})" if difference else score(row)
