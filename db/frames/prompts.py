"""What a model was asked."""

from sqlalchemy import select

from ..database import Database
from ..schema import Sample


def read_prompt(db: Database, sample: str) -> str | None:
    """The prompt of a sample; None unless a run was told to keep prompts."""
    with db.reading() as connection:
        prompt: str | None = connection.scalar(select(Sample.prompt).where(Sample.id == sample))
    return prompt
