"""Messages of the rooms below name options of the command line; those of the Python API name parameters."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ... import UserError

_NEGATED = {
    "no-truncate": "truncate=False",
    "no-baselines": "baselines=False",
    "no-drafts": "drafts=False",
    "no-fidelity": "fidelity=False",
}
_SAME = (
    *("allocator", "scorer", "ratio", "keep-tokens", "sink", "window", "model", "tasks", "task", "length", "limit"),
    *("seed", "protocol", "thinking", "samples", "data-dir", "max-length", "db", "device", "dtype", "batch", "redo"),
    *("against", "context", "out", "include", "exclude", "fail-fast", "shard", "executor", "workers", "address"),
    *("max-memory", "backend", "fidelity", "by", "floors", "oracles"),
)
_OPTION = re.compile(rf"--({'|'.join([*_NEGATED, *sorted(_SAME, key=len, reverse=True)])})(?![\w-])")


def python_message(message: str) -> str:
    """A message with options replaced by parameters: "--keep-tokens" becomes "keep_tokens"."""
    return _OPTION.sub(lambda match: _NEGATED.get(match[1], match[1].replace("-", "_")), message)


@contextmanager
def python_messages() -> Iterator[None]:
    """Within the block a UserError names parameters."""
    try:
        yield
    except UserError as error:
        raise UserError(python_message(str(error))) from error.__cause__
