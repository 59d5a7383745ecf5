"""Markdown of a database, cut down to what harms nobody: paragraphs, lists, bold, code and links to the web.

Whatever else it holds (HTML, images, headings, tables, formulas, links to anything but the web) is shown as text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import text

_FENCE = re.compile(r"\s*(```+|~~~+)")
_ITEM = re.compile(r"\s{0,3}[-*] +")
_INLINE = re.compile(
    r"\*\*(?P<bold>[^*]+)\*\*"
    r"|`(?P<code>[^`]+)`"
    r"|(?<!!)\[(?P<label>[^\[\]]+)\]\((?P<address>[^()\s]+)\)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
)


@dataclass(frozen=True)
class Part:
    """A piece of a document: Markdown that may be rendered, or code to be shown as it stands."""

    text: str
    is_code: bool = False


def parts(document: str) -> list[Part]:
    """The pieces of a document in order; the end of a very long one is left out, and said to be."""
    return list(_parts(text.block(document).split("\n")))


def _parts(lines: list[str]) -> Iterator[Part]:
    paragraph: list[str] = []
    rest = iter(lines)
    for each in rest:
        if fence := _FENCE.match(each):
            yield from _paragraph(paragraph)
            paragraph = []
            yield Part("\n".join(_until(rest, fence.group(1))), is_code=True)
        elif not each.strip() or _ITEM.match(each):
            yield from _paragraph(paragraph)
            paragraph = [each] if each.strip() else []
        else:
            paragraph.append(each)
    yield from _paragraph(paragraph)


def _until(rest: Iterator[str], fence: str) -> Iterator[str]:
    for each in rest:
        if each.strip().startswith(fence):
            return
        yield each


def _paragraph(lines: list[str]) -> Iterator[Part]:
    joined = " ".join(each.strip() for each in lines)
    if not joined:
        return
    item = _ITEM.match(joined)
    yield Part("- " + _inline(joined[item.end() :])) if item else Part(_inline(joined))


def _inline(paragraph: str) -> str:
    pieces: list[str] = []
    end = 0
    for found in _INLINE.finditer(paragraph):
        pieces += [_plain(paragraph[end : found.start()]), _marked(found)]
        end = found.end()
    written = ""
    for piece in [*pieces, _plain(paragraph[end:])]:
        written += f" {piece}" if written.endswith("`") and piece.startswith("`") else piece  # or two spans become one
    return written.strip()


def _marked(found: re.Match[str]) -> str:
    """A marked piece, written anew out of harmless text."""
    if found["bold"] is not None:
        return f"**{_plain(found['bold']).strip()}**" if found["bold"].strip() else _plain(found[0])
    if found["code"] is not None:
        return f"`{found['code'].strip()}`" if found["code"].strip() else _plain(found[0])
    if found["escaped"] is not None:
        return _plain(found["escaped"])
    address = text.link(found["address"])
    return _plain(found[0]) if address is None else f"[{_plain(found['label'])}](<{address}>)"


def _plain(piece: str) -> str:
    """Text between the marks, with the blanks around it."""
    words = piece.split()
    if not words:
        return " " if piece else ""
    before = " " if piece[0].isspace() else ""
    after = " " if piece[-1].isspace() else ""
    return before + text.markdown(" ".join(words), text.MOST_IN_BLOCK) + after
