"""RULER's samples: made here, or read from files that RULER made."""

from collections.abc import Callable

from ..definitions import Definition
from ..request import Documents, Request
from . import cwe, fwe, niah, premade, qa, vt

_GENERATORS: dict[str, Callable[[Definition, Request], Documents]] = {
    "niah": niah.documents,
    "vt": vt.documents,
    "cwe": cwe.documents,
    "fwe": fwe.documents,
    "qa": qa.documents,
}
"""By the `generator` that a definition's metadata names."""


def documents(definition: Definition, request: Request) -> Documents:
    """Samples from a file of the data folder if it holds one for this task and length, else new ones."""
    path = premade.find(request)
    if path is not None:
        return premade.documents(path, definition, request)
    return _GENERATORS[definition["metadata"]["generator"]](definition, request)
