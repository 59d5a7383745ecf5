"""`lukv-bench leaderboard`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from ..api.keywords import keywords_of
from .options import Database, whole_number


@dataclass(frozen=True)
class LeaderboardOptions:
    """The options of `leaderboard`, as typed."""

    db: Database = None
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen at; 0.0.0.0 lets any machine in, without a password."),
    ] = "127.0.0.1"
    port: Annotated[
        int | None,
        typer.Option(
            "--port", help="Port to listen at.  [default: 8501, or the next free one]", metavar="N", parser=whole_number
        ),
    ] = None
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open no browser.")] = False
    check: Annotated[
        bool,
        typer.Option("--check", help="Start nothing; exit with 0 where a leaderboard answers and reads its database."),
    ] = False


@keywords_of(LeaderboardOptions)
def leaderboard(options: LeaderboardOptions) -> int:
    """Open the leaderboard, a site over the results. It reads the database and never changes it.

    Without --db and without results of your own it shows the example that comes with lukv-bench. New answers appear
    without a restart. Ctrl-C ends it.
    """
    from .site import check, serve
    from .site.place import place_of

    place = place_of(options.host, options.port, must_be_free=not options.check)
    if options.check:
        return check.check_site(place, options.db)
    return serve.serve(place, options.db, open_browser=not options.no_browser)
