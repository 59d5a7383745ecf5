"""The address and port of the leaderboard."""

import errno
import socket
from dataclasses import dataclass

from .... import UserError

FIRST_PORT = 8501
"""Streamlit's default port."""

_TRIED_PORTS = 100
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean all of a machine's, and the address by which the machine itself reaches them."""


@dataclass(frozen=True)
class Place:
    """An address of this machine and a port."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        """The address by which this machine reaches it."""
        return _ANYWHERE.get(self.host, self.host)

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}"


def place_of(host: str, port: int | None, *, must_be_free: bool) -> Place:
    """The place for `--host` and `--port`; without a port the first free one from FIRST_PORT on.

    Args:
        host: An address or a name of this machine.
        port: As typed; None for any.
        must_be_free: Whether something is to listen there. Otherwise a missing port is FIRST_PORT.

    Raises:
        UserError: nothing can listen there.
    """
    if port is not None and not 1 <= port <= 65535:
        raise UserError(f"--port takes a number from 1 to 65535, not {port}.")
    if not must_be_free:
        return Place(host, port or FIRST_PORT)
    if port is not None:
        if not _is_free(host, port):
            raise UserError(
                f"Port {port} of {host} is taken by another program; name another with --port, "
                "or leave --port out for one that is free."
            )
        return Place(host, port)
    for each in range(FIRST_PORT, FIRST_PORT + _TRIED_PORTS):
        if _is_free(host, each):
            return Place(host, each)
    raise UserError(
        f"No port of {host} from {FIRST_PORT} to {FIRST_PORT + _TRIED_PORTS - 1} is free; name one with --port."
    )


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return False
        if isinstance(error, PermissionError):
            raise UserError(f"Port {port} may not be used by this user; name one above 1023 with --port.") from error
        raise UserError(
            f'"{host}" is no address of this machine; write --host 127.0.0.1 for this machine alone '
            "or --host 0.0.0.0 for all its addresses."
        ) from error
    return True
