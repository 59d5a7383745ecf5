"""`lukv-bench compare`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ... import UserError
from ..api.keywords import keywords_of
from ..api.values import axis
from .options import Database, Json

if TYPE_CHECKING:
    from ...db.pairs import ConfigurationPair
    from ...db.store import Store

_NAME = 'an allocator, "ALLOCATOR x SCORER", that with ", BUDGET", or the beginning of a cell\'s or configuration\'s id'


@dataclass(frozen=True)
class CompareOptions:
    """The arguments and options of `compare`, as typed."""

    a: Annotated[str, typer.Argument(metavar="A", help=f"What is compared: {_NAME}.")]
    b: Annotated[str, typer.Argument(metavar="B", help="What it is compared with, named likewise.")]
    db: Database = None
    task: Annotated[list[str] | None, typer.Option("--task", help="Only these tasks or families.", metavar="T,T")] = (
        None
    )
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="What is compared: the score, KL to the full cache, agreement with it, or the reference's NLL.",
            metavar="score|kl|agreement|nll",
        ),
    ] = "score"
    flips: Annotated[
        bool,
        typer.Option("--flips", help="Show the samples on which A and B differ, with both answers and the references."),
    ] = False
    json: Json = False
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout and nothing else.")] = False
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False


@keywords_of(CompareOptions)
def compare(options: CompareOptions) -> int:
    """Say whether A is better than B, over the samples that both answered.

    For every task, and over all of them with tasks weighing the same: the mean difference with its 95% interval, the p
    of a sign-flip test, on how many samples A won and lost, and how many samples would find a difference of this size.
    Where A and B name several configurations (all budgets of an allocator), each is compared with the one that differs
    in nothing else, and Holm's correction allows for their number.

    Examples:

      lukv-bench compare lukv uniform

      lukv-bench compare "lukv x keydiff, prune 0.8" full --task ruler

      lukv-bench compare 3f2a9c 77b0d1 --flips

      lukv-bench compare lukv uniform --by kl
    """
    if sum((options.json, options.csv, options.markdown)) > 1:
        raise UserError("give one of --json, --csv and --markdown.")
    if options.flips and options.by != "score":
        raise UserError("--flips shows samples that score otherwise; leave --by out.")
    tasks = None if options.task is None else axis("--task", options.task)
    from ..api.results import compared_pairs, open_results

    with open_results(options.db) as store:
        pairs = compared_pairs(store, options.a, options.b, tasks, options.by)
        if options.flips:
            _show_flips(store, pairs, options)
        else:
            _show(pairs, options)
    return 0


def _show(pairs: "Sequence[ConfigurationPair]", options: CompareOptions) -> None:
    from ..reports import comparison
    from ..reports.table import print_json

    if options.json:
        print_json(comparison.compared_rows(pairs))
    elif options.csv:
        comparison.print_rows_csv(comparison.compared_rows(pairs), comparison.COMPARED_COLUMNS)
    elif options.markdown:
        print(comparison.comparison_markdown(pairs))
    else:
        comparison.print_comparison(pairs)


def _show_flips(store: "Store", pairs: "Sequence[ConfigurationPair]", options: CompareOptions) -> None:
    from ..reports import flips
    from ..reports.comparison import print_rows_csv
    from ..reports.table import print_json

    flipped = flips.flipped_samples(store, pairs)
    if options.json:
        print_json(flipped)
    elif options.csv:
        print_rows_csv(flipped, flips.FLIP_COLUMNS)
    else:
        print(flips.flips_markdown(flipped) if options.markdown else flips.flips_text(flipped))
