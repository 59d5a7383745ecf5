"""Options that several commands take, and how their texts become values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ... import UserError


def whole_number(text: str | int) -> int:
    """An option's number; typer's own message would not repeat what was typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


Model = Annotated[str, typer.Option("--model", help="Alias (see `list models`), hub id or local folder.", metavar="M")]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]", metavar="D")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype", help="float32, bfloat16 or float16.  [default: float32 on cpu, else bfloat16]", metavar="D"
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="SQLite file, or the URL of a SQLite or PostgreSQL database.  [default: in the user's data folder]",
        metavar="URL",
    ),
]
Ratio = Annotated[
    list[str] | None,
    typer.Option("--ratio", help="Share of the context to prune, 0 <= R < 1; repeatable.", metavar="R"),
]
KeepTokens = Annotated[
    int | None,
    typer.Option(
        "--keep-tokens",
        help="Tokens to keep per head, on average, instead of a ratio.",
        metavar="N",
        parser=whole_number,
    ),
]
Sink = Annotated[
    int | None,
    typer.Option(
        "--sink", help="First tokens never evicted.  [default: the scorer's]", metavar="N", parser=whole_number
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window", help="Last tokens never evicted.  [default: the scorer's]", metavar="N", parser=whole_number
    ),
]

Allocators = Annotated[
    list[str] | None,
    typer.Option("--allocator", help="NAME[:key=value,...]; repeatable.  [default: lukv]", metavar="A"),
]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", help="NAME[:key=value,...]; repeatable.  [default: keydiff]", metavar="S"),
]
Tasks = Annotated[
    str, typer.Option("--tasks", help="Comma-separated tasks or families (see `list tasks`).", metavar="T,T")
]
Length = Annotated[
    str, typer.Option("--length", help="Tokens, prompt and answer together; comma-separated.", metavar="N,N")
]
Limit = Annotated[int, typer.Option("--limit", help="Samples of each task.", metavar="N", parser=whole_number)]
Protocol = Annotated[
    str,
    typer.Option(
        "--protocol", help="agnostic: evict before the question is seen; aware: after.", metavar="agnostic|aware"
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Local files in the originals' formats, instead of the hub.", metavar="DIR"),
]
Samples = Annotated[
    Path | None, typer.Option("--samples", help="Read the samples that `tasks export` wrote there.", metavar="DIR")
]
NoTruncate = Annotated[
    bool, typer.Option("--no-truncate", help="Refuse LongBench samples that are too long, as RULER's always are.")
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        help="Tokens of prompt and answer from which LongBench's contexts lose their middle.  "
        "[default: the model's positions]",
        metavar="N",
        parser=whole_number,
    ),
]
NoBaselines = Annotated[
    bool, typer.Option("--no-baselines", help="Do not add the full cache and the uniform allocator.")
]
Batch = Annotated[
    int,
    typer.Option(
        "--batch",
        help="Configurations of a sample that decode together: faster for many, but their seconds are not taken.",
        metavar="N",
        parser=whole_number,
    ),
]

TASKS, LENGTH, LIMIT = "niah_multikey_1", "1024", 12
"""A default that shows the effect of eviction within minutes on two cores."""

Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of whatever is drawn at random here.", metavar="N", parser=whole_number),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout and nothing else.")]


def comma_list(option: str, text: str) -> list[str]:
    """The parts of "a,b".

    Raises:
        UserError: there is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError(f"{option} is empty; name at least one, or leave the option out.")
    return parts


def whole_numbers(option: str, text: str) -> list[int]:
    """The numbers of "1024,2048".

    Raises:
        UserError: a part is no whole number.
    """
    try:
        return [int(part) for part in comma_list(option, text)]
    except ValueError:
        raise UserError(f"{option} takes whole numbers such as 1024,2048, not {text!r}.") from None


def at_least_one(option: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        UserError: it is.
    """
    if value < 1:
        raise UserError(f"{option} takes a number of at least 1, not {value}.")


def storable(option: str, value: int | None) -> None:
    """Refuse a number that no database holds.

    Raises:
        UserError: it has more than 63 bits.
    """
    if value is not None and abs(value) >= 2**63:
        raise UserError(f"{option} takes a number of at most {2**63 - 1}, not {value}.")


def one_of(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is none of the choices.

    Raises:
        UserError: it is.
    """
    if value not in choices:
        raise UserError(f"{option} is {' or '.join(choices)}, not {value!r}.")


def apart(**places: Path | None) -> None:
    """Refuse to write over what is read, or twice to one place. Options by their names, `_` for `-`.

    Raises:
        UserError: two of them are one file.
    """
    seen: dict[Path, str] = {}
    for name, place in places.items():
        if place is None:
            continue
        option, real = "--" + name.rstrip("_").replace("_", "-"), place.expanduser().resolve()
        if real in seen:
            raise UserError(f"{seen[real]} and {option} are the same file, {place}; give each its own.")
        seen[real] = option
