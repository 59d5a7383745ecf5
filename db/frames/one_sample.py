"""One sample: where it stands, and what counts as a right answer."""

from typing import Any, NamedTuple

from sqlalchemy import Text, cast, select

from ..database import Database
from ..readable import parsed
from ..schema import Sample


class OneSample(NamedTuple):
    """A sample as stored.

    Attributes:
        references: Texts that count as right, None where the record keeps none; any JSON value where another program
            wrote it.
        facets: What it may be grouped by.
    """

    task: str
    length: int | None
    ordinal: int
    references: Any
    facets: Any


def read_sample(db: Database, sample: str) -> OneSample | None:
    """The sample with this id; None where there is none."""
    query = select(
        *(Sample.task, Sample.length, Sample.ordinal),
        *(cast(Sample.reference_answers, Text), cast(Sample.facets, Text)),
    ).where(Sample.id == sample)
    with db.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    return OneSample(row[0], row[1], row[2], parsed(row[3]), parsed(row[4]))
