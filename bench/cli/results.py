"""`lukv-bench results`."""

from typing import Annotated

import typer

from ... import UserError
from ..suggest import unknown
from .options import Database, Json


def results(
    db: Database = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Print Markdown with a table for each task, budgets side by side.")
    ] = False,
    task: Annotated[str | None, typer.Option("--task", help="Only this task.", metavar="T")] = None,
) -> int:
    """Show what the database holds: a row per cell (a configuration on a task at a length).

    Scores and means are null until every sample ever asked of the cell is answered.
    """
    if sum((json, csv, markdown, grid)) > 1:
        raise UserError("give one of --json, --csv, --markdown and --grid.")
    from ...db.store import Store
    from ...db.urls import resolve_url
    from ...tasks.catalog import names
    from ..reports import grid as report_grid
    from ..reports import table as report

    with Store.open(resolve_url(db), create=False) as store:
        rows = report.result_rows(store)
    if task is not None:
        known = {*names(), *(row["task"] for row in rows)}
        if task not in known:
            raise unknown("task", task, known)
        rows = [row for row in rows if row["task"] == task]
    if json:
        report.print_json(rows)
    elif csv:
        report.print_csv(rows)
    elif markdown:
        print(report.markdown(rows))
    elif grid:
        print(report_grid.grid(rows))
    else:
        report.print_table(rows)
    return 0
