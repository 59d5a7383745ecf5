"""Whatever a stranger wrote into a database, every page shows it, and shows it as text."""

import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from streamlit.testing.v1 import AppTest

from lukv_bench.leaderboard import text
from lukv_bench.leaderboard.site import PAGES

from .hostile import HOSTILE
from .hostile_database import TASK
from .test_text import SHAPELESS, is_formula

FORBIDDEN = {"html_inline", "html_block", "image", "fence", "code_block", "hr", "blockquote_open"}
MARKDOWN_ELEMENTS = ("markdown", "caption", "title", "header", "subheader", "warning", "info", "error", "success")


def tokens(written: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(written):
        yield token
        yield from token.children or ()


def faults(site: AppTest) -> list[str]:
    """What is shown otherwise than as text."""
    found = [f"exception: {each.message}" for each in site.exception]
    for kind in MARKDOWN_ELEMENTS:
        for element in getattr(site, kind):
            found += [
                f"{kind}: {token.type} in {element.value[:80]!r}" for token in tokens(element.value) if harms(token)
            ]
            found += [f"{kind}: {name}" for name in unseen(element.value)]
    for table in site.dataframe:
        found += [f"table: {value[:80]!r}" for value in table_texts(table.value) if is_formula(value)]
        found += [f"table: {name}" for value in table_texts(table.value) for name in unseen(value)]
    for short in site.table:  # its cells are Markdown
        for value in table_texts(short.value):
            found += [f"cell: {token.type} in {value[:80]!r}" for token in tokens(value) if harms(token)]
            found += [f"cell: {name}" for name in unseen(value)]
    for block in site.code:
        found += [f"code: {name}" for name in unseen(block.value)]
    for chart in site.get("plotly_chart"):
        found += [f"figure: {name}" for name in unseen(str(json.loads(chart.proto.spec)))]
        found += [f"figure: {label[:80]!r}" for label in labels(json.loads(chart.proto.spec)) if "<script" in label]
    return found


def harms(token: Token) -> bool:
    is_bad_link = token.type == "link_open" and not text.link(token.attrs["href"])
    return is_bad_link or token.type in FORBIDDEN


def unseen(shown: str) -> list[str]:
    """The characters without a shape, by name."""
    return [f"U+{ord(c):04X}" for c in set(shown) if unicodedata.category(c) in SHAPELESS and c not in "\n\t"]


def table_texts(frame: pd.DataFrame) -> Iterator[str]:
    yield from map(str, frame.columns)
    for name in frame.columns:
        yield from (value for value in frame[name] if isinstance(value, str))


def labels(spec: Any) -> Iterator[str]:
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, dict):
        for each in spec.values():
            yield from labels(each)
    elif isinstance(spec, list):
        for each in spec:
            yield from labels(each)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_over_hostile_texts_shows_text(page: str, hostile_texts: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(hostile_texts, page)
    assert not faults(site)
    assert site.title


@pytest.mark.parametrize("page", PAGES)
def test_a_page_over_json_of_wrong_shapes_goes_on(page: str, wrong_shapes: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(wrong_shapes, page)
    assert not faults(site)
    assert site.title


def walk(site: AppTest, key: str) -> Iterator[AppTest]:
    """The site with each option of a list in turn."""
    for option in site.selectbox(key=key).options:
        yield site.selectbox(key=key).set_value(option).run()


def test_every_method_is_shown_as_text(hostile_texts: Path, visit: Callable[..., AppTest]) -> None:
    found = [faults(site) for site in walk(visit(hostile_texts, "methods"), "method")]
    assert len(found) == len(HOSTILE)
    assert not any(found)


UNCHANGED = ("script", "html", "markdown_image", "latex", "formula_equals", "plotly_html")
"""Answers that are shown character by character: nothing in them has no shape."""


def test_every_sample_is_shown_as_text_and_in_full_where_it_harms_nobody(
    hostile_texts: Path, visit: Callable[..., AppTest]
) -> None:
    opened = visit(hostile_texts, "samples", place=f"{TASK} 1024")
    for name, site in zip(HOSTILE, walk(opened, "sample"), strict=True):
        assert not faults(site), name
        if name in UNCHANGED:
            assert site.code[1].value == HOSTILE[name]
