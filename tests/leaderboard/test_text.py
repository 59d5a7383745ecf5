"""Whatever a text of a database is made of, it is shown as text."""

import csv
import html
import io
import json
import math
import re
import unicodedata
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lukv_bench.leaderboard import text

from .hostile import HOSTILE

CHARACTERS = st.one_of(
    st.sampled_from(
        "<>&$%{}[]()`*_~#|\\:;!?=+-@'\"/ \t\r\n\0\x1b\x7f\x85\u202e\u2066\u200b\u200d\ufeff\u0301\ufe0f\u3164"
    ),
    st.characters(categories=None),
    st.sampled_from(["www.", "http://", "->", "--", ":red[", "```", "$$", "<b>", "%{x}", "\ud800", "\U000e0041"]),
)
TEXTS = st.one_of(st.lists(CHARACTERS, max_size=40).map("".join), st.sampled_from([*HOSTILE.values()]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
SHAPELESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(TEXTS)
def test_every_character_that_is_shown_has_a_shape(given_text: str) -> None:
    shown = text.visible(given_text)
    assert not [c for c in shown if unicodedata.category(c) in SHAPELESS and c not in "\n\t"]
    shown.encode()
    assert not re.search(r"[\u0300-\u036f]{5}", shown)


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u3164\u115f\u1160\uffa0\u2800")))
def test_what_has_a_shape_stays_as_it_is(given_text: str) -> None:
    assert text.visible(given_text) == given_text


def test_a_bidi_mark_is_spelled_out_where_it_stood() -> None:
    assert text.visible("score \u202e001") == "score [U+202E]001"
    assert text.visible("\x1b[31m\0") == "\N{SYMBOL FOR ESCAPE}[31m\N{SYMBOL FOR NULL}"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_long_text_is_cut_and_says_how_long_it_is(name: str) -> None:
    hostile = HOSTILE[name]
    shown = text.block(hostile, 50)
    assert len(shown) < 90
    if len(hostile) > 50:
        assert shown.endswith(f"… ({len(hostile):,} characters)")


def is_line(shown: str) -> bool:
    return bool(shown) and shown == shown.strip() and len(shown.splitlines()) == 1 and bool(shown.encode())


@given(JSON)
@example(math.inf)
@example(b"\0\xff")
@example(pd.NA)
def test_any_value_has_a_line_of_its_own(value: object) -> None:
    assert is_line(text.line(value))


@pytest.mark.parametrize("value", [10**5000, json.loads("[" * 900 + "]" * 900), {"x": object()}], ids=type)
def test_a_value_that_has_no_text_has_a_line_all_the_same(value: object) -> None:
    assert is_line(text.line(value))


def inline_tokens(written: str) -> list[Token]:
    """By a CommonMark parser that we did not write; HTML, links and tables allowed."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(f"See {written} there")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    return tokens[1].children or []


@given(TEXTS)
def test_markdown_shows_the_line_and_nothing_else(given_text: str) -> None:
    tokens = inline_tokens(text.markdown(given_text))
    assert {token.type for token in tokens} <= {"text", "code_inline", "text_special"}
    assert "".join(token.content for token in tokens) == f"See {text.line(given_text, text.MOST_IN_CELL)} there"


@given(TEXTS)
def test_markdown_leaves_nothing_that_is_read_after_parsing(given_text: str) -> None:
    """Emoji, icons, arrows and bare addresses are found in text that is parsed already: only a code span is safe."""
    for token in inline_tokens(text.markdown(given_text)):
        if token.type != "code_inline":
            assert not re.search(r":\S|@|www\.|->|<-|--|>=", token.content, re.IGNORECASE)


def test_a_sentence_stays_a_sentence() -> None:
    assert text.markdown("The task niah_1 failed: no answer (yet)") == r"The task niah\_1 failed\: no answer \(yet\)"
    assert text.markdown("lukv:floor=4 x keydiff") == "`lukv:floor=4` x keydiff"


@given(TEXTS)
def test_plotly_sees_no_tag_no_formula_and_no_template(given_text: str) -> None:
    written = text.plotly(given_text)
    assert not re.search(r"[<>$]|%\{|%", written)
    assert html.unescape(written) == text.line(given_text)


def is_formula(shown: str) -> bool:
    """As spreadsheets read a cell: the first character decides, a number or a lone dash aside."""
    start = unicodedata.normalize("NFKC", shown.lstrip())[:1]
    is_number = re.fullmatch(r"-|[-+]?\d+([.,]\d+)?%?", shown)
    return not is_number and (start in {"=", "+", "-", "@"} or shown[:1] in {"\t", "\r"})


@given(TEXTS)
def test_no_cell_of_a_table_is_a_formula(given_text: str) -> None:
    assert not is_formula(text.cell(given_text))


@given(st.lists(st.tuples(TEXTS, JSON, st.floats()), max_size=4), TEXTS)
def test_a_table_goes_through_arrow(rows: list[tuple[str, object, float]], name: str) -> None:
    """Streamlit sends tables as Arrow, which refuses half a surrogate pair, mixed columns and names that are alike."""
    frame = pd.DataFrame(rows, columns=["a", "b", "score"], dtype="object").astype({"score": "float64"})
    frame.columns = pd.Index([name, name, "score"], dtype="object")
    shown = text.table(frame)
    sent = pa.Table.from_pandas(shown, preserve_index=False)
    assert sent.num_rows == len(rows)
    assert shown["score"].dtype == frame["score"].dtype
    assert len({*shown.columns}) == 3


@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS)
def test_a_download_opens_as_text(texts: list[str], name: str) -> None:
    frame = pd.DataFrame({"a": pd.Series(texts, dtype="object"), "score": [1.5] * len(texts)})
    frame.columns = pd.Index([name, "score"], dtype="object")
    header, *rows = csv.reader(io.StringIO(text.csv(frame).decode(), newline=""))
    assert len(rows) == len(texts)
    assert {len(row) for row in [header, *rows]} == {2}
    assert not [cell for row in [header, *rows] for cell in row if is_formula(cell)]
    assert [float(row[1]) for row in rows] == [1.5] * len(texts)


def test_numbers_and_dashes_of_a_download_stay_as_they_are() -> None:
    frame = pd.DataFrame({"budget": ["-", "-3.5", "+4", "prune 0.8"], "gain": [-1.0, 2.0, None, -4.5]})
    assert text.csv(frame).decode().splitlines() == [
        '"budget","gain"',
        '"-",-1.0',
        '"-3.5",2.0',
        '"+4",""',
        '"prune 0.8",-4.5',
    ]


@pytest.mark.parametrize("address", ["https://arxiv.org/abs/2602.08585", "http://127.0.0.1:8501/x?y=1#z"])
def test_an_address_of_the_web_is_a_link(address: str) -> None:
    assert text.link(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *HOSTILE.values(),
        "JaVaScRiPt:alert(1)",
        " https://evil.example",
        "https://evil.example\n",
        "https://arxiv.org@evil.example/",
        "https://evil.example/)![x](https://evil.example/y",
        "https://[::1",
        "https:///path",
        "//evil.example",
        "ftp://evil.example",
        "vbscript:x",
        None,
        7,
    ],
)
def test_anything_else_is_no_link(address: object) -> None:
    assert text.link(address) is None


@given(TEXTS)
def test_a_name_cannot_add_a_parameter_to_a_link(given_text: str) -> None:
    address = urlsplit("?" + text.query({"task": given_text, "page": 2}))
    assert not address.fragment
    expected = given_text.encode(errors="replace").decode()
    assert parse_qs(address.query, keep_blank_values=True) == {"task": [expected], "page": ["2"]}


@given(TEXTS)
def test_a_file_name_stays_in_its_folder(given_text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.csv", text.file_name(given_text, "csv"))
