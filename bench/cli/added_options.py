"""The options of `run` that add floors and ceilings to its methods."""

from typing import Annotated

import typer

Floors = Annotated[
    bool,
    typer.Option(
        "--floors/--no-floors",
        help="Add at every budget what position alone gives (uniform x streaming_llm) and what chance does "
        "(uniform x random).",
    ),
]
Oracles = Annotated[
    bool,
    typer.Option(
        "--oracles/--no-oracles",
        help="Add at every budget ceilings that read what the reference answer will attend to: oracle x oracle, "
        "uniform x oracle, and oracle x each scorer. Never ranked; one more pass over each question.",
    ),
]
