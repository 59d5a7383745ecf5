"""Options of `run` for a user's own documents."""

from pathlib import Path
from typing import Annotated

import typer

from ..api.defaults import LIMIT
from .options import whole_number

RunLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        help=f"Samples of each task.  [default: {LIMIT}; with --data every question]",
        metavar="N",
        parser=whole_number,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Your own documents instead of --tasks: a .jsonl or .csv file whose rows have context or context_file, "
        "question or questions, and answers if known; or a .txt or .md file, or a folder of those, with --question. "
        "See docs/howto/own-documents.md.",
        metavar="FILE|FOLDER",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="How answers about --data are scored: exact (but for case and white space), contains (share of the "
        "references that stand in the answer), f1 (of words), rouge (ROUGE-L), code (edit similarity of the first line "
        "of code), none (equal to the full cache's answer).  [default: contains, or none without answers]",
        metavar="M",
    ),
]
Question = Annotated[
    list[str] | None,
    typer.Option(
        "--question",
        help="Asked of every text file of --data; repeat it for more. Fed after the text and an empty line, as it is. "
        "All questions on one text share its prefill and its eviction.",
        metavar="TEXT",
    ),
]
DataName = Annotated[
    str | None,
    typer.Option("--data-name", help="Of the task that --data makes.  [default: the file's name]", metavar="NAME"),
]
AnswerTokens = Annotated[
    int | None,
    typer.Option(
        "--answer-tokens",
        help="The most tokens of an answer about --data.  [default: 64; rouge 256, none 128]",
        metavar="N",
        parser=whole_number,
    ),
]
