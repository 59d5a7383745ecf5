"""The database that the site shows: opened once, read by the queries of `db.frames`, kept until its content changes."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st
from sqlalchemy import make_url

from ..db.example import SITE_DATABASE, shown_url
from ..db.reader import Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One state of the database.

    Attributes:
        reader: Reads it; shared by all visitors.
        version: Another one whenever the content is another one.
        is_example: Whether it is the example that comes with lukv-bench.
    """

    reader: Reader
    version: str
    is_example: bool

    def read(self, query: Callable[..., T], *args: Any) -> T:
        """What a query of `db.frames` gives for (reader, *args). The result is shared: never change it."""
        result: T = _answers(self.version, _identity(query), _digest(args), query, (self.reader, *args))
        return result

    def derive(self, function: Callable[..., T], *key: Any, inputs: tuple[Any, ...]) -> T:
        """What a pure function gives for `inputs`, computed once for each `key` and state of the database."""
        result: T = _derived(self.version, _identity(function), _digest(key), function, inputs)
        return result


def _identity(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _digest(key: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest()


def current_record() -> Record:
    """The database as it is now: opened again where it is another file than before.

    Raises:
        UserError: there is none, or none of ours; says what to type.
        StoreError: it cannot be read just now.
    """
    url, is_example = shown_url(os.environ.get(SITE_DATABASE) or None)
    reader = _reader(url.render_as_string(hide_password=False))
    return Record(reader, reader.version(), is_example)


def forget_reader() -> None:
    """Open the database anew the next time: its file was replaced, or its server went away."""
    _reader.clear()


@st.cache_resource(max_entries=2, show_spinner="Opening the database ...")
def _reader(url: str) -> Reader:
    return Reader.open(make_url(url))


@st.cache_resource(max_entries=64, show_spinner="Reading the results ...")
def _derived(version: str, identity: str, digest: str, _function: Any, _inputs: Any) -> Any:
    """Few and large ones: whole settings, rankings, figures."""
    return _function(*_inputs)


@st.cache_resource(max_entries=512, show_spinner="Reading the results ...")
def _answers(version: str, identity: str, digest: str, _query: Any, _inputs: Any) -> Any:
    """Many and small ones: what visitors look at one by one must not push the large ones out."""
    return _query(*_inputs)
