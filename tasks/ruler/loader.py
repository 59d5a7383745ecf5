"""RULER's samples: made here, or read from files that RULER made."""

from collections.abc import Callable

from ..definitions import Definition
from ..request import Request, Samples
from . import cwe, fwe, niah, premade, qa, vt

_GENERATORS: dict[str, Callable[[Definition, Request], Samples]] = {
    "niah": niah.samples,
    "vt": vt.samples,
    "cwe": cwe.samples,
    "fwe": fwe.samples,
    "qa": qa.samples,
}
"""By the `generator` that a definition's metadata names."""


def samples(definition: Definition, request: Request) -> Samples:
    """Samples from a file of the data folder if it holds one for this task and length, else new ones."""
    path = premade.find(request)
    if path is not None:
        return premade.samples(path, definition, request)
    return _GENERATORS[definition["metadata"]["generator"]](definition, request)
