"""Plain text tables that fit a width without cutting a number or losing what tells rows apart."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

DROPPABLE = (
    *("tpot s", "ttft s", "machine", "NLL", "same token", "evidence kept", "found/miscopied/missed", "KV kept, MiB"),
    *("KL", "of oracle"),
)
"""Columns that a narrow table goes without, first to last."""

LEFT = ("task", "method", "allocator", "scorer", "machine", "events")
UNITS = (" MiB", " s")
LONGEST = 80
"""Characters of a value; a longer name loses its middle."""

_GAPS = (3, 2)

Columns = Mapping[str, Sequence[str]]
"""Name -> the values of all rows."""


def fitted(title: str, columns: Columns, width: int | None) -> tuple[list[str], list[str]]:
    """The lines of a table at most `width` wide, and the names of the columns that it goes without.

    What is the same in every row moves to the title first; then DROPPABLE columns go; where the rest is still too
    wide, each row becomes a paragraph with all of its values.

    Args:
        title: Stands above.
        columns: Printable texts.
        width: In characters; None = as wide as it needs.
    """
    columns = {name: _shortened(values) for name, values in columns.items()}
    if width is None or _needs(columns, _GAPS[0]) <= width:
        return [title, *_lines(columns, _GAPS[0])], []
    shared = {name: values[0] for name, values in columns.items() if len(values) > 1 and len(set(values)) == 1}
    varied = {name: values for name, values in columns.items() if name not in shared}
    heading = wrapped([title, *_pairs(shared)], width)
    dropped: list[str] = []
    for name in (None, *DROPPABLE):
        if name in varied:
            dropped.append(str(name))
        left = {other: values for other, values in varied.items() if other not in dropped}
        gap = next((gap for gap in _GAPS if _needs(left, gap) <= width), None)
        if gap is not None:
            return [*heading, *_lines(left, gap)], dropped
    return [*heading, *_paragraphs(varied, width)], []


def wrapped(parts: Sequence[str], width: int, indent: str = "") -> list[str]:
    """Parts joined by commas, in lines at most `width` wide; a part is broken at blanks only where it is wider."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines else part
        if lines and text_width(joined) < width:  # a comma may follow
            lines[-1] = joined
            continue
        if lines:
            lines[-1] += ","
        lines += textwrap.wrap(
            part,
            width,
            initial_indent=indent if lines else "",
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return lines


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its two ends."""
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def _shortened(values: Sequence[str]) -> Sequence[str]:
    return values if max(map(len, values), default=0) <= LONGEST else [shortened(value) for value in values]


def text_width(text: str) -> int:
    """Columns of a terminal that a text takes; a Chinese character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _pairs(values: Mapping[str, str]) -> list[str]:
    """Names and values in words: "ttft 1.31 s", "KV kept 7.47 of 37.45 MiB"."""
    return [_pair(name.removesuffix(" [95%]"), value) for name, value in values.items() if value]


def _pair(name: str, value: str) -> str:
    for unit in UNITS:
        if name.endswith(unit):
            return f"{name.removesuffix(unit).rstrip(',')} {value}{unit}"
    return f"{name} {value}"


def _text_widths(values: Sequence[str]) -> list[int]:
    """The width of each text."""
    return list(map(len if "".join(values).isascii() else text_width, values))


def _widths(columns: Columns) -> dict[str, int]:
    return {name: max(_text_widths([name, *values])) for name, values in columns.items()}


def _needs(columns: Columns, gap: int) -> int:
    return sum(_widths(columns).values()) + gap * (len(columns) - 1)


def _lines(columns: Columns, gap: int) -> Iterator[str]:
    widths = _widths(columns)
    padded = [_padded([name, *values], widths[name], name in LEFT) for name, values in columns.items()]
    heading, *rows = ((" " * gap).join(values).rstrip() for values in zip(*padded, strict=True))
    yield heading
    yield "─" * (sum(widths.values()) + gap * (len(columns) - 1))
    yield from rows


def _padded(values: Sequence[str], width: int, is_left: bool) -> list[str]:
    if "".join(values).isascii():  # whole columns at once: large tables have many values
        return [value.ljust(width) for value in values] if is_left else [value.rjust(width) for value in values]
    blanks = [" " * (width - text_width(value)) for value in values]
    pairs = zip(values, blanks, strict=True) if is_left else zip(blanks, values, strict=True)
    return [before + after for before, after in pairs]


def _paragraphs(columns: Columns, width: int) -> Iterator[str]:
    for values in zip(*columns.values(), strict=True):
        yield ""
        yield from wrapped(_pairs(dict(zip(columns, values, strict=True))), width, indent="  ")
