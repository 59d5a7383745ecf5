"""The database that is shown before there are results: the user's own as soon as there are any."""

from pathlib import Path

from sqlalchemy import URL

from .named import named_file
from .places import real_path
from .urls import resolve_url

EXAMPLE = Path(__file__).resolve().parents[1] / "leaderboard" / "example.db"
"""Made by a run of lukv-bench, and shipped with it."""


def shown_url(text: str | None) -> tuple[URL, bool]:
    """The database to look at for `--db TEXT`, and whether it is the example, which stands in for a missing text.

    Raises:
        UserError: the text names no database.
    """
    own = named_file(text) if text is None else None
    if own is not None and not real_path(own).exists() and EXAMPLE.is_file():
        return URL.create("sqlite", database=str(EXAMPLE)), True
    return resolve_url(text), False
