"""Draws a context's text with marks or shades that show how many heads keep each token."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from .heat_map import shade

MOST_LINES = 20
"""Longer texts show only their first and last lines and those with the largest shares."""
AT_THE_ENDS = 3


class Cell(NamedTuple):
    """A character of the text, and the share of heads that keep it."""

    character: str
    width: int
    share: float


Line = list[Cell]


def draw_kept_text(texts: Sequence[str], shares: Sequence[float], width: int, colour: bool) -> list[Text]:
    """The drawn lines.

    Args:
        texts: For each token, the characters that it completes; "" if it completes none.
        shares: For each token, the share of heads that keep it.
        width: Available columns.
        colour: Whether the marks are backgrounds; a second row of plain characters otherwise.
    """
    drawn = [_legend(colour)]
    lines = _wrapped(_cells(_pieces(texts, shares)), width)
    for place in _chosen(lines):
        if isinstance(place, range):
            drawn.append(_gap(lines[place.start : place.stop], len(place)))
        else:
            drawn += [_coloured(lines[place])] if colour else _marked(lines[place])
    return drawn


def _legend(colour: bool) -> Text:
    if not colour:
        return Text("the text; under each token the tenths of heads that keep it (# all, blank none)")
    legend = Text("the text; shades are tenths of heads that keep a token: ")
    for tenth in range(11):
        legend.append(f"{tenth:2d}", shade(tenth / 10))
    return legend


def _pieces(texts: Sequence[str], shares: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Texts with their share; tokens that form one character together get their mean."""
    text = ""
    group: list[float] = []
    for piece, share in zip(texts, shares, strict=True):
        if piece and text:
            yield text, sum(group) / len(group)
            text, group = "", []
        text += piece
        group.append(share)
    if text:
        yield text, sum(group) / len(group)


def _cells(pieces: Iterable[tuple[str, float]]) -> Iterator[Cell]:
    for text, share in pieces:
        for character in text.replace("\r\n", "\n"):
            shown = _harmless(character)
            yield Cell(shown, 1 if shown == "\n" else cell_len(shown), share)


def _harmless(character: str) -> str:
    """The character, replaced if it would control a terminal."""
    if character == "\n":
        return character
    if character.isspace():
        return " "
    return "?" if unicodedata.category(character).startswith("C") else character


def _wrapped(cells: Iterable[Cell], width: int) -> list[Line]:
    """Lines of at most `width` columns, broken after spaces if possible; a newline is shown as a space."""
    lines: list[Line] = [[]]
    used = 0
    for word, starts_line in _words(cells):
        if lines[-1] and (starts_line or used + sum(cell.width for cell in word) > width):
            lines.append([])
            used = 0
        for cell in word:
            if lines[-1] and used + cell.width > width:
                lines.append([])
                used = 0
            lines[-1].append(cell)
            used += cell.width
    return [line for line in lines if line]


def _words(cells: Iterable[Cell]) -> Iterator[tuple[Line, bool]]:
    """Words with the space after them (a wide character is a word), and whether a newline precedes each."""
    word: Line = []
    after_newline = starts_line = False
    for cell in cells:
        newline = cell.character == "\n"
        if not word or (after_newline and not newline):
            if word:
                yield word, starts_line
            word, starts_line = [], after_newline
        word.append(cell._replace(character=" ") if newline else cell)
        after_newline = newline
        if not newline and (cell.character == " " or cell.width > 1):
            yield word, starts_line
            word, starts_line = [], False
    if word:
        yield word, starts_line


def _mean(cells: Sequence[Cell]) -> float:
    return sum(cell.share for cell in cells) / len(cells)


def _chosen(lines: Sequence[Line]) -> list[int | range]:
    """The lines to show, in order, and the ranges left out between them."""
    n = len(lines)
    if n <= MOST_LINES:
        return list(range(n))
    middle = sorted(range(AT_THE_ENDS, n - AT_THE_ENDS), key=lambda place: -_mean(lines[place]))
    best = middle[: MOST_LINES - 2 * AT_THE_ENDS]
    shown: list[int | range] = []
    last = -1
    for place in sorted([*range(AT_THE_ENDS), *best, *range(n - AT_THE_ENDS, n)]):
        shown += [range(last + 1, place), place] if place > last + 1 else [place]
        last = place
    return shown


def _gap(lines: Sequence[Line], n: int) -> Text:
    share = 100 * _mean([cell for line in lines for cell in line])
    return Text(f"[... {n} line{'s' if n > 1 else ''}, kept by {share:.0f}% of heads on average ...]", style="italic")


def _coloured(line: Line) -> Text:
    drawn = Text()
    for cell in line:
        drawn.append(cell.character, shade(cell.share) if cell.share else Style(dim=True))
    return drawn


def _marked(line: Line) -> list[Text]:
    text = "".join(cell.character for cell in line).rstrip()
    marks = "".join(_mark(cell.share) * cell.width for cell in line).rstrip()
    return [Text(text), Text(marks)] if marks else [Text(text)]


def _mark(share: float) -> str:
    return "#" if share >= 1 else str(int(10 * share)) if share > 0 else " "
