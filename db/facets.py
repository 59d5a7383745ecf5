"""What samples are grouped by: the kind of a question, the depth of a needle."""

from collections.abc import Sequence

from sqlalchemy import Text, cast, select

from .database import Database
from .documents import DOCUMENT
from .portions import portions, read_rows
from .readable import parsed
from .schema import Sample

Facets = dict[str, dict[str, str]]
"""Name of a facet -> sample -> its value, as text."""


def read_facets(db: Database, samples: Sequence[str]) -> Facets:
    """The facets of some samples, without the document, which no two groups of answers share."""
    query = select(Sample.id, cast(Sample.facets, Text)).where(Sample.facets.is_not(None))
    facets: Facets = {}
    with db.reading() as connection:
        for some in portions(list(dict.fromkeys(samples))):
            for sample, text in read_rows(connection, query.where(Sample.id.in_(some))):
                values = parsed(text)
                for name, value in values.items() if isinstance(values, dict) else ():
                    if name != DOCUMENT and isinstance(value, str | int | float):
                        facets.setdefault(name, {})[sample] = str(value)
    return facets
