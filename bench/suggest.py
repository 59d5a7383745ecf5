"""One way to say that a name is not known."""

import difflib
from collections.abc import Collection

from .. import UserError


def unknown(kind: str, name: str, known: Collection[str], more: str = "") -> UserError:
    """The error for an unknown name, with the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    names = ", ".join(sorted(known)) or "none"
    hint = f"did you mean {near[0]!r}?" if near else f"known: {names}{more}."
    return UserError(f"unknown {kind} {name!r}: {hint}")
