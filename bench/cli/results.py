"""`lukv-bench results`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import UserError
from ..api.keywords import keywords_of
from ..api.values import axis, samples_limit
from ..files.access import write_whole
from ..files.figures import check_plot
from .options import Database, Json, whole_number

if TYPE_CHECKING:
    from ...db.comparable import Row
    from ...db.store import Store


@dataclass(frozen=True)
class ResultsOptions:
    """The options of `results`, as typed."""

    db: Database = None
    json: Json = False
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout and nothing else.")] = False
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False
    grid: Annotated[
        bool, typer.Option("--grid", help="Print Markdown with a table for each task, budgets side by side.")
    ] = False
    task: Annotated[list[str] | None, typer.Option("--task", help="Only these tasks or families.", metavar="T,T")] = (
        None
    )
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help='Differences to this row: an allocator, "ALLOCATOR x SCORER", or the beginning of a cell\'s or '
            "configuration's id.  [default: uniform]",
            metavar="ROW",
        ),
    ] = None
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="A ranked row per configuration instead, over all its tasks, with its score on each task, each family "
            "of tasks, each model, or each value of what samples are grouped by: kind, of the requests tasks.",
            metavar="task|family|model|kind",
        ),
    ] = None
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Only ranked configurations that no other beats: none keeps no more bytes and scores no less.",
        ),
    ] = False
    areas: Annotated[
        bool,
        typer.Option(
            "--areas",
            help="A ranked row per method instead, over all its budgets: the area under its quality-budget curve, and "
            "its loss relative to the full cache.",
        ),
    ] = False
    cost: Annotated[
        bool,
        typer.Option(
            "--cost",
            help="A row per measurement of `run --cost` instead, a table per machine: seconds, memory and bytes.",
        ),
    ] = False
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (booktabs).")] = False
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            help="Draw score against the share of the cache kept into this .png, .svg or .html file: a line a method, "
            "95% bands, seeds pooled.",
            metavar="FILE",
        ),
    ] = None
    answers: Annotated[
        bool, typer.Option("--answers", help="Show the answers themselves, side by side, with their references.")
    ] = False
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="With --answers, samples of each task.", metavar="N", parser=whole_number),
    ] = None
    delete: Annotated[
        str | None,
        typer.Option("--delete", help="Delete the cell whose id begins so, with its answers.", metavar="CELL"),
    ] = None


@keywords_of(ResultsOptions)
def results(options: ResultsOptions) -> int:
    """Show what the database holds: a row per cell (a configuration on a task at a length).

    Scores and means are null until every sample ever asked of the cell is answered. With --by or --pareto, a row per
    configuration: ranks are shared where a Holm-corrected sign-flip test over the same samples does not part two, and
    configurations that lack a sample of a task are named apart, never averaged. `compare` says which of two is better.

    Examples:

      lukv-bench results --task ruler --against full

      lukv-bench results --by family --markdown

      lukv-bench results --by kind --task requests

      lukv-bench results --pareto --latex

      lukv-bench results --areas

      lukv-bench results --cost

      lukv-bench results --plot quality.svg
    """
    _check(options)
    from ..api.results import cell_rows, cost_rows, open_results

    tasks = None if options.task is None else axis("--task", options.task)
    with open_results(options.db) as store:
        if options.delete is not None:
            return _delete(store, options.delete)
        if options.cost:
            return _show_costs(store, tasks, options)
        rows = cell_rows(store, tasks, options.against)
        if options.plot is not None:
            return _plot(store, rows, options.plot)
        if not rows and not (options.json or options.csv):
            from ...db.urls import describe

            named = "" if tasks is None else f" for {', '.join(tasks)}"
            measured = '; "results --cost" shows what was measured' if cost_rows(store, tasks) else ""
            print(f'no results{named} in {describe(store.url)} yet; "lukv-bench run" makes some{measured}')
        elif options.answers:
            _show_answers(store, rows, options)
        elif options.areas:
            _show_areas(store, rows, options)
        elif options.by is not None or options.pareto:
            _show_board(store, rows, options)
        else:
            _show(rows, options)
    return 0


def _check(options: ResultsOptions) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: they do not.
    """
    views = (options.json, options.csv, options.markdown, options.grid, options.latex)
    if sum(views) > 1:
        raise UserError("give one of --json, --csv, --markdown, --grid and --latex.")
    ranked = options.by is not None or options.pareto or options.areas
    if options.cost and any(
        (ranked, options.grid, options.latex, options.answers, options.against, options.plot, options.delete)
    ):
        raise UserError("--cost shows what was measured; give it --db, --task, --json, --csv or --markdown at most.")
    if options.delete is not None:
        if any((*views, options.answers, options.task, options.against, ranked, options.plot)):
            raise UserError("--delete stands alone beside --db: it shows nothing.")
        return
    if options.plot is not None:
        if any((*views, options.answers, options.against, ranked)):
            raise UserError("--plot draws every method's scores; give it --db and --task at most.")
        check_plot(options.plot)
    if ranked and options.grid:
        raise UserError("--grid shows cells, and --by, --pareto and --areas rank; leave --grid out.")
    if options.areas and (options.by is not None or options.pareto):
        raise UserError("--areas shows methods, --by and --pareto configurations; give one of them.")
    if options.areas and options.against is not None:
        raise UserError("--areas holds every method against the full cache; leave --against out.")
    if options.answers and (of_scores := _of_scores(options)):
        raise UserError(f"--answers shows answers, not scores; leave one of {of_scores[0]} and --answers out.")
    if options.limit is not None:
        if not options.answers:
            raise UserError("--limit is for --answers; scores are over all samples.")
        samples_limit(options.limit)


def _of_scores(options: ResultsOptions) -> list[str]:
    """The options among those given that show or compare scores."""
    given = {
        "--against": options.against is not None,
        "--by": options.by is not None,
        "--pareto": options.pareto,
        "--areas": options.areas,
        "--grid": options.grid,
        "--latex": options.latex,
    }
    return [name for name, is_given in given.items() if is_given]


def _show(rows: "Sequence[Row]", options: ResultsOptions) -> None:
    from ..reports import table

    against = options.against or "uniform"
    if options.json:
        table.print_json(rows)
    elif options.csv:
        table.print_csv(rows)
    elif options.markdown:
        print(table.markdown(rows, against))
    elif options.latex:
        print(table.latex(rows, against))
    elif options.grid:
        from ..reports import grid as report_grid

        print(report_grid.grid(rows, table.terminal_width(), against))
    else:
        table.print_table(rows, against)


def _show_board(store: "Store", rows: "Sequence[Row]", options: ResultsOptions) -> None:
    from ..api.results import boards
    from ..reports import board

    against = options.against or "uniform"
    ranked = boards(store, [dict(row) for row in rows], options.against, options.by)
    if options.json:
        board.print_board_json(ranked, options.pareto)
    elif options.csv:
        board.print_board_csv(ranked, options.pareto)
    elif options.markdown:
        print(board.board_markdown(ranked, against, options.pareto))
    elif options.latex:
        print(board.board_latex(ranked, against, options.pareto))
    else:
        board.print_board(ranked, against, options.pareto)


def _show_areas(store: "Store", rows: "Sequence[Row]", options: ResultsOptions) -> None:
    from ...db.areas import read_areas
    from ..reports import areas

    found = read_areas(store, [dict(row) for row in rows])
    if options.json:
        areas.print_areas_json(found)
    elif options.csv:
        areas.print_areas_csv(found)
    elif options.markdown:
        print(areas.areas_markdown(found))
    elif options.latex:
        print(areas.areas_latex(found))
    else:
        areas.print_areas(found)


def _plot(store: "Store", rows: "Sequence[Row]", path: Path) -> int:
    from ..reports import plot

    points, caption = plot.quality_frame(store, rows)
    write_whole(path.expanduser(), "--plot", lambda place: plot.write_figure(points, caption, place))
    print(f"drawn to {path}: {caption}")
    return 0


def _show_answers(store: "Store", rows: "Sequence[Row]", options: ResultsOptions) -> None:
    from ..api.results import answer_rows
    from ..reports.answers import answers_markdown, print_answers, print_answers_csv
    from ..reports.table import print_json, terminal_width

    answers = answer_rows(store, [dict(row) for row in rows], options.limit)
    if options.json:
        print_json(answers)
    elif options.csv:
        print_answers_csv(answers)
    elif options.markdown:
        print(answers_markdown(answers))
    else:
        print_answers(answers, terminal_width())


def _show_costs(store: "Store", tasks: "Sequence[str] | None", options: ResultsOptions) -> int:
    from ..api.results import cost_rows
    from ..reports.costs import show_costs

    shown = [name for name in ("json", "csv", "markdown") if getattr(options, name)]
    show_costs(cost_rows(store, tasks), shown[0] if shown else "table")
    return 0


def _delete(store: "Store", prefix: str) -> int:
    from ...db.removal import delete_cell

    removed = delete_cell(store, prefix)
    print(f"deleted cell {removed.cell[:12]} ({removed.task}) with {removed.n_answers} answers")
    return 0
