"""Which samples ask about the same document: their answers are not independent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Text, cast, select

from .database import Database
from .portions import portions, read_rows
from .readable import parsed
from .schema import Sample

if TYPE_CHECKING:
    import pandas as pd

DOCUMENT = "document"
"""The facet of a sample that names its document. A sample without one is alone with its document."""


def read_documents(db: Database, samples: Sequence[str]) -> dict[str, str]:
    """Sample -> document, for those that name one."""
    facets = cast(Sample.facets, Text)
    query = select(Sample.id, facets).where(facets.like(f'%"{DOCUMENT}"%'))
    documents: dict[str, str] = {}
    with db.reading() as connection:
        for some in portions(list(dict.fromkeys(samples))):
            for sample, text in read_rows(connection, query.where(Sample.id.in_(some))):
                values = parsed(text)
                if isinstance(values, dict) and DOCUMENT in values:
                    documents[sample] = str(values[DOCUMENT])
    return documents


def with_documents(db: Database, scores: "pd.DataFrame") -> "pd.DataFrame":
    """Scores with a column document, where any of their samples names one; the sample itself is that of the others."""
    import pandas as pd  # which `results` does without

    codes, samples = pd.factorize(scores["sample"])
    documents = read_documents(db, list(samples))
    if not documents:
        return scores
    names = pd.Series([documents.get(sample, sample) for sample in samples], dtype="object")
    return scores.assign(document=names.to_numpy()[codes])
