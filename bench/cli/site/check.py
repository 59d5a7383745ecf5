"""Checks whether a leaderboard answers and its database can be read, for containers and monitors."""

import http.client
import sys

from .... import UserError
from ....db.errors import StoreError
from ..messages import sentence
from .place import Place

_HEALTH = "/_stcore/health"
_PATIENCE_S = 5.0


def check_site(place: Place, db: str | None) -> int:
    """Print whether the leaderboard works; returns the exit code.

    Args:
        place: Where the leaderboard should listen.
        db: The `--db` that it was started with.
    """
    if not answers(place):
        print(sentence(f"no leaderboard answers at {place.url}"), file=sys.stderr)
        return 1
    from ....db.example import shown_url
    from ....db.reader import Reader
    from ....db.urls import describe

    url, _ = shown_url(db)
    try:
        with Reader.open(url) as reader:
            reader.version()
    except (UserError, StoreError) as error:
        print(sentence(f"a leaderboard answers at {place.url}, but: {error}"), file=sys.stderr)
        return 1
    print(f"a leaderboard answers at {place.url}, and {describe(url)} can be read")
    return 0


def answers(place: Place) -> bool:
    """Whether a Streamlit server answers there.

    Raises:
        UserError: the host is no name or address that a machine can have.
    """
    try:
        connection = http.client.HTTPConnection(place.reachable_host, place.port, timeout=_PATIENCE_S)
    except http.client.InvalidURL as error:
        raise _no_host(place) from error
    try:
        connection.request("GET", _HEALTH)
        response = connection.getresponse()
        return response.status == 200 and response.read(64).strip() == b"ok"
    except (OSError, http.client.HTTPException):
        return False
    except UnicodeError as error:
        raise _no_host(place) from error
    finally:
        connection.close()


def _no_host(place: Place) -> UserError:
    return UserError(f'"{place.host}" is no name or address of a machine; write --host 127.0.0.1 for this one.')
