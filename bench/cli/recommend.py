"""`lukv-bench recommend`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from ..api.keywords import keywords_of
from ..api.values import axis
from .options import Database, Json, whole_number


@dataclass(frozen=True)
class RecommendOptions:
    """The options of `recommend`, as typed."""

    model: Annotated[
        str, typer.Option("--model", help="Alias (see `list models`), hub id or local folder.", metavar="M")
    ]
    context_length: Annotated[
        int,
        typer.Option("--context-length", help="Tokens of one sequence's context.", metavar="N", parser=whole_number),
    ]
    memory: Annotated[
        str,
        typer.Option(
            "--memory",
            help="For the keys and values that one sequence keeps of its context, such as 2GiB or 512MiB; a number "
            "alone is GiB.",
            metavar="SIZE",
        ),
    ]
    min_quality: Annotated[
        str, typer.Option("--min-quality", help="Percent of the full cache's score to keep.", metavar="P%")
    ] = "98%"
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", help="Of the cache: float32, bfloat16 or float16.  [default: as measured]", metavar="D"
        ),
    ] = None
    task: Annotated[list[str] | None, typer.Option("--task", help="Only these tasks or families.", metavar="T,T")] = (
        None
    )
    db: Database = None
    json: Json = False


@keywords_of(RecommendOptions)
def recommend(options: RecommendOptions) -> int:
    """Say which method to take for a model, a context length and a memory, by the results in the database.

    Of the configurations whose budget fits the memory at that length, those come first that keep --min-quality of the
    full cache's score over the same samples. "met" holds after Holm's correction for all that fit; "met so far" is
    above the target, and could be luck: a `run` line says what would tell. Of a hub model config.json alone is read.

    Examples:

      lukv-bench recommend --model smollm2-135m --context-length 8192 --memory 100MiB

      lukv-bench recommend --model M --context-length 32768 --memory 2GiB --min-quality 95% --task ruler
    """
    from ..api.recommend import need_of, recommended, recommended_rows
    from ..api.results import open_results

    tasks = None if options.task is None else axis("--task", options.task)
    need = need_of(options.model, options.context_length, options.memory, options.min_quality, options.db)
    with open_results(options.db) as store:
        found = recommended(store, need, options.dtype, tasks)
    from ..reports import recommendation, table

    if options.json:
        table.print_json(recommended_rows(found))
    else:
        recommendation.print_recommendation(found, need)
    return 0
