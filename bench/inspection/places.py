"""Where a text stands in another one."""

from ... import UserError

MOST_SHOWN = 60
"""Characters of a text that a message repeats."""


def places_of(evidence: str, context: str) -> list[tuple[int, int]]:
    """Every place where a text stands verbatim in a context, [start, end) in characters, none inside another.

    Raises:
        UserError: it is empty or stands nowhere.
    """
    if not evidence.strip():
        raise UserError("--evidence is empty; give it a text that stands in --context.")
    places, at = [], context.find(evidence)
    while at >= 0:
        places.append((at, at + len(evidence)))
        at = context.find(evidence, at + len(evidence))
    if not places:
        shown = evidence if len(evidence) <= MOST_SHOWN else f"{evidence[:MOST_SHOWN]}..."
        raise UserError(f"--context does not hold --evidence {shown!r} letter by letter; copy it from the file.")
    return places
