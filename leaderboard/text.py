"""Texts of a database, made harmless for the place where they are shown. Any of them may have been written by anybody.

| text | what it could do | here |
|---|---|---|
| HTML, scripts, `javascript:` addresses | run in the reader's browser | never HTML; `link` takes http and https alone |
| Markdown, images, LaTeX, `:red[...]`, `:smile:` | load a stranger's image, hide or forge text | `markdown` |
| `<b>`, `<a>`, `$...$`, `%{x}` in figures | plotly reads HTML, MathJax and its own templates | `plotly` |
| `=cmd()` in a table | a spreadsheet runs it | `cell`, `csv`: an apostrophe before it |
| bidi marks, zero-width and other invisible characters | show another text than is there | `visible` |
| control characters, ANSI escapes, NUL, half a surrogate pair | garble, or break the encoder | `visible` |
| stacked combining marks | cover the lines around | `visible` |
| megabytes; numbers of a million digits | fill memory and page | cut, with the whole length |
| JSON of another shape than expected; not-a-number | break the page | any value is taken |
| `?task=x` as a name | forge a link's parameters | `query` |
"""

import io
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from csv import QUOTE_NONNUMERIC
from typing import Any
from urllib.parse import urlencode, urlsplit

import pandas as pd

MOST_IN_LABEL = 80
"""Characters of a text in a figure, a widget, a title."""

MOST_IN_CELL = 300
"""Characters of a text in a table."""

MOST_IN_BLOCK = 20_000
"""Characters of a text that is read as a whole."""

MOST_IN_FILE = 32_000
"""Characters of a text in a downloaded table; a spreadsheet's cell takes 32,767."""

NOTHING = "-"
"""Stands for a missing value."""

_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")
_MOST_MARKS = 4
"""Combining marks on one letter: more than any script needs."""

_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols by category, and blank all the same."""

_SHAPELESS = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

_FORMULA = re.compile(r"[\s'\"]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER_OR_DASH = re.compile(r"-|[+-]?\d+([.,]\d+)?%?")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_CHANGED_LATER = re.compile(r"www\.|@|:\S|--|->|<-|[<>~]=", re.IGNORECASE)
"""What becomes an address, an icon or another sign even where it is escaped: Streamlit looks for it after parsing."""


def visible(text: str) -> str:
    """The same text with every character that has no shape of its own spelled out; line ends and tabs stay."""
    text = text.replace("\r\n", "\n")
    if not _BEYOND_ASCII.search(text):
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            shown.append(_visible_character(character))
        elif marks == _MOST_MARKS + 1:
            shown.append("[more marks]")
    return "".join(shown)


def _visible_character(character: str) -> str:
    if "\x20" <= character <= "\x7e" or character in "\n\t":
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a picture of each control character
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    if category in _SHAPELESS or is_selector or character in _BLANKS:
        return f"[U+{code:04X}]"
    return character


def text_of(value: Any) -> str:
    """Any value as a text: JSON for lists and objects, `NOTHING` for what is missing."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return NOTHING
    try:
        if isinstance(value, (dict, list, tuple)):
            return json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, bytes):
            return f"{len(value):,} bytes"
        if hasattr(value, "item"):  # a NumPy scalar
            value = value.item()
        return NOTHING if isinstance(value, float) and value != value else str(value)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return f"(a value that cannot be shown: {type(value).__name__})"


def cut(value: Any, most: int) -> str:
    """At most so many characters of a value, all visible, with the length of the whole where some are left out."""
    text = text_of(value)
    shown = visible(text[:most])
    if len(text) <= most and len(shown) <= most:
        return shown
    return f"{shown[:most]} … ({len(text):,} characters)"


def block(value: Any, most: int = MOST_IN_BLOCK) -> str:
    """For `st.code(language=None)` and `st.text`: a text with its lines."""
    return cut(value, most)


def line(value: Any, most: int = MOST_IN_LABEL) -> str:
    """For options of a widget, page titles, alternative texts: one line that nothing interprets."""
    return " ".join(cut(value, most).split()) or "(blank)"


def markdown(value: Any, most: int = MOST_IN_CELL) -> str:
    """For whatever Streamlit reads as Markdown: labels, captions, notices. The line itself, as Markdown shows it."""
    return " ".join(_markdown_word(word) for word in line(value, most).split(" "))


def _markdown_word(word: str) -> str:
    """A word with its punctuation escaped, or as a code span where that would not do."""
    if not _CHANGED_LATER.search(word):
        return _PUNCTUATION.sub(r"\\\g<0>", word)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", word)), default=0))
    return f"{fence} {word} {fence}" if "`" in word else f"`{word}`"


def plotly(value: Any, most: int = MOST_IN_LABEL) -> str:
    """For every label, hover and name in a figure."""
    text = line(value, most)
    for character, entity in {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"}.items():
        text = text.replace(character, entity)
    return text


def cell(value: Any, most: int = MOST_IN_CELL) -> str:
    """For a table: one that copies a cell, or the whole table, into a spreadsheet, must not run it as a formula."""
    return _no_formula(line(value, most)) if text_of(value) else ""


def _no_formula(text: str) -> str:
    is_formula = _FORMULA.match(text) and not _NUMBER_OR_DASH.fullmatch(text)
    return f"'{text}" if is_formula else text


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame to show: numbers as they are, anything else as harmless text, missing values left empty."""
    return _texts(frame, cell)


def csv(frame: pd.DataFrame) -> bytes:
    """A frame as a file that any program opens as text: UTF-8, every text in quotes."""
    file = io.StringIO()
    shown = _texts(frame, lambda value: _no_formula(cut(value, MOST_IN_FILE)))
    shown.to_csv(file, index=False, lineterminator="\n", quoting=QUOTE_NONNUMERIC)
    return file.getvalue().encode()


def _texts(frame: pd.DataFrame, shown: Callable[[Any], str]) -> pd.DataFrame:
    """The columns that are no numbers made texts, and the names of all columns made texts that differ."""
    columns: dict[str, pd.Series[Any]] = {}
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if not pd.api.types.is_numeric_dtype(column.dtype):
            texts = [None if _is_missing(value) else shown(value) for value in column]
            column = pd.Series(texts, index=frame.index, dtype="object")
        name = cell(frame.columns[place], MOST_IN_LABEL)
        while name in columns:
            name += "'"
        columns[name] = column
    return pd.DataFrame(columns, index=frame.index)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def link(value: Any) -> str | None:
    """An address that a reader may be sent to: http or https, every other character escaped; None for all others."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]{1,500}", value):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if not parts.hostname or parts.username or parts.password or re.search(r"[\"'<>\\^`{|}()\[\]]", value):
        return None
    return value


def query(parameters: Mapping[str, Any]) -> str:
    """Parameters of a link to a page of this site."""
    return urlencode({name: text_of(value) for name, value in parameters.items()}, errors="replace")


def file_name(value: Any, suffix: str) -> str:
    """A name for a download: letters, digits, dots and dashes only."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", text_of(value))[:MOST_IN_LABEL].strip(".-") or "table"
    return f"{stem}.{suffix}"
