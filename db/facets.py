"""What samples are grouped by, such as the kind of a question."""

import json
from collections.abc import Sequence
from math import isfinite

from sqlalchemy import Text, cast, select

from .database import Database
from .documents import DOCUMENT
from .portions import portions, read_rows
from .readable import parsed
from .schema import Sample

Facets = dict[str, dict[str, str]]
"""Name of a facet -> sample -> its value, as text."""


def read_facets(db: Database, samples: Sequence[str]) -> Facets:
    """The facets of some samples that are texts or finite numbers, without the document, which groups them anyway."""
    query = select(Sample.id, cast(Sample.facets, Text)).where(Sample.facets.is_not(None))
    facets: Facets = {}
    with db.reading() as connection:
        for some in portions(list(dict.fromkeys(samples))):
            for sample, text in read_rows(connection, query.where(Sample.id.in_(some))):
                values = parsed(text)
                for name, value in values.items() if isinstance(values, dict) else ():
                    if name != DOCUMENT and (label := _label(value)) is not None:
                        facets.setdefault(name, {})[sample] = label
    return facets


def natural(label: str) -> tuple[bool, float, str]:
    """A key that sorts numbers by size, and texts behind them."""
    try:
        number = float(label)
    except ValueError:
        return True, 0.0, label
    return (False, number, label) if isfinite(number) else (True, 0.0, label)


def _label(value: object) -> str | None:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and isfinite(value)
    return json.dumps(value) if is_number else None
