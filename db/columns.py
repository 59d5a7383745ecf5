"""Column types that every table shares, and the base class of the tables."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, dataclass_transform

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, Integer, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, mapped_column

from .local_paths import publishable, without_folders

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database. SQLite keeps no time zone, so one is fixed here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC. ValueError for a naive time, whose moment is not defined."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored; use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back as an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Text from anywhere: a NUL, which PostgreSQL refuses, and half a surrogate pair, which both do, become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The same text wherever it is stored, so that a score does not depend on the database."""
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


class PublicText(AnyText):
    """Text about what was done, without the folders of the machine that did it."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """File names in the place of paths."""
        return super().process_bind_param(None if value is None else without_folders(value), dialect)


VerbatimJson = JSON(none_as_null=True)
"""A JSON value exactly as it was given: what a task says, which may look like a path."""


class PublicJson(TypeDecorator[Any]):
    """A JSON value whose texts name no local folder."""

    impl = VerbatimJson
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """File names in the place of paths."""
        return publishable(value)


Hash = Annotated[str, mapped_column(String(64))]
"""A content hash in hex, given by the caller."""

Name = Annotated[str, mapped_column(String(255))]
Number = Annotated[str, mapped_column(String(40))]
"""A decimal as exact text, such as "0.8": a float would not come back as it was typed."""

Count = Annotated[int, mapped_column(BigInteger)]
"""Tokens or bytes, which pass 2^31."""

Address = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"))]
"""A number that is made of the row's content; SQLite's own row number, which takes no index."""

Json = Annotated[Any, mapped_column(PublicJson())]


@dataclass_transform(field_specifiers=(mapped_column,), kw_only_default=True)
class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """A row: a dataclass of keywords, whose attributes are called like its columns."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {str: PublicText(), int: Integer(), float: Double(), datetime: UtcDateTime()}  # noqa: RUF012
