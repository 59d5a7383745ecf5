"""`lukv-bench results`."""

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from ... import UserError
from .options import Database, Json
from .values import axis


def results(
    db: Database = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Print Markdown with a table for each task, budgets side by side.")
    ] = False,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only these tasks or families.", metavar="T,T")
    ] = None,
) -> int:
    """Show what the database holds: a row per cell (a configuration on a task at a length).

    Scores and means are null until every sample ever asked of the cell is answered.
    """
    if sum((json, csv, markdown, grid)) > 1:
        raise UserError("give one of --json, --csv, --markdown and --grid.")
    from ...db.store import Store
    from ...db.urls import resolve_url
    from ..reports import grid as report_grid
    from ..reports import table as report

    with Store.open(resolve_url(db), create=False) as store:
        rows = report.result_rows(store)
    if task is not None:
        wanted = _tasks(axis("--task", task), {row["task"] for row in rows})
        rows = [row for row in rows if row["task"] in wanted]
    if json:
        report.print_json(rows)
    elif csv:
        report.print_csv(rows)
    elif markdown:
        print(report.markdown(rows))
    elif grid:
        print(report_grid.grid(rows, report.terminal_width()))
    else:
        report.print_table(rows)
    return 0


def _tasks(asked: Sequence[str], stored: Collection[str]) -> set[str]:
    """The tasks that these names stand for: of a task or a family as `run` knows them, or of a stored task that this
    version no longer has."""
    from ...tasks.catalog import expand

    return {task for name in asked for task in ([name] if name in stored else expand([name]))}
