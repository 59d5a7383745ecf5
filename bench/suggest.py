"""The error for an unknown name."""

import difflib
from collections.abc import Collection

from .. import UserError


def nearest(name: str, choices: Collection[str]) -> list[str]:
    """The most similar known name, ignoring case; empty if none is similar."""
    folded = {word.casefold(): word for word in choices}
    return [folded[word] for word in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)]


def unknown(kind: str, name: str, choices: Collection[str], more: str = "") -> UserError:
    """The error for an unknown name, with the nearest known one, or all of them."""
    near = nearest(name, choices)
    names = ", ".join(sorted(choices)) or "none"
    hint = f"did you mean {near[0]!r}?" if near else f"known: {names}{more}."
    return UserError(f"unknown {kind} {name!r}: {hint}")
