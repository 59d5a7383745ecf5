"""The map of a budget and the kept text, as lines."""

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from lukv_bench.bench.inspection.heat_map import draw_heat_map
from lukv_bench.bench.inspection.kept_text import MOST_LINES, draw_kept_text


def plain(lines: list[Text]) -> list[str]:
    return [str(line) for line in lines]


@pytest.mark.parametrize("heads", [1, 3, 8, 13, 14, 32, 66, 67, 128])
@pytest.mark.parametrize("colour", [False, True])
def test_the_map_fits_into_80_columns_with_a_cell_for_every_head(heads: int, colour: bool) -> None:
    counts = np.arange(4 * heads).reshape(4, heads) % 50 + 1
    lines = draw_heat_map(counts, 50, 80, colour)
    assert max(len(line) for line in lines) <= 80
    rows = plain(lines)[3:]
    assert [int(row[:6]) for row in rows if row[:6].strip()] == [0, 1, 2, 3]
    means = [float(found[1]) for row in rows if (found := re.search(r" +(\d+\.\d)$", row))]
    assert means == pytest.approx(counts.mean(axis=1) * 2, abs=0.06)
    if heads <= 13:
        shown = [[int(cell) for cell in re.findall(r"\d+", row[6:-7])] for row in rows]
        assert np.abs(np.array(shown) - counts * 2).max() <= 0.5
    else:
        assert sum(len(row[6:]) for row in rows) == 4 * (heads + len("   20.0"))


def test_a_plain_map_shades_by_the_share_of_the_largest_head() -> None:
    rows = plain(draw_heat_map(np.array([[0, 10, 20], [30, 40, 5]]), 100, 80, False))
    assert rows[3:] == ["    0    0   10:  20=   10.0", "    1   30#  40@   5.   25.0"]
    wide = plain(draw_heat_map(np.array([[0, 40] * 20]), 100, 80, False))
    assert wide[3] == "    0 " + " @" * 20 + "   20.0"


def test_a_map_of_nothing_kept_is_drawn() -> None:
    assert plain(draw_heat_map(np.zeros((1, 2), dtype=np.int64), 9, 80, False))[3] == "    0    0    0     0.0"


def test_colours_appear_on_a_terminal_alone() -> None:
    for colour in (False, True):
        out = io.StringIO()
        console = Console(file=out, force_terminal=colour, color_system="truecolor" if colour else None)
        for line in draw_heat_map(np.array([[1, 9]]), 10, 80, colour):
            console.print(line)
        assert ("\x1b[" in out.getvalue()) is colour


def test_marks_stand_under_their_tokens_whatever_their_width() -> None:
    lines = plain(draw_kept_text(["ab", " 守夜", "", "c\n", "d"], [1.0, 0.5, 0.1, 0.0, 0.94], 80, False))
    assert lines[1:] == ["ab 守夜c", "##33333", "d", "9"]


def test_long_texts_keep_their_ends_and_where_most_is_kept() -> None:
    texts = [f"line {n}\n" for n in range(100)]
    shares = [0.9 if n in (40, 41, 77) else 0.1 for n in range(100)]
    lines = plain(draw_kept_text(texts, shares, 80, False))
    shown = [int(line.split()[1]) for line in lines if re.fullmatch(r"line \d+", line)]
    assert len(shown) == MOST_LINES
    assert {0, 1, 2, 40, 41, 77, 97, 98, 99} <= set(shown)
    assert shown == sorted(shown)
    left_out = [int(found[1]) for line in lines if (found := re.match(r"\[\.\.\. (\d+) lines?, kept by 10%", line))]
    assert sum(left_out) == 100 - MOST_LINES


@given(
    st.lists(st.tuples(st.text(max_size=12), st.floats(0, 1)), max_size=40),
    st.integers(10, 80),
    st.booleans(),
)
def test_any_text_is_drawn_inside_the_width_and_steers_no_terminal(
    tokens: list[tuple[str, float]], width: int, colour: bool
) -> None:
    legend, *lines = plain(draw_kept_text([t for t, _ in tokens], [s for _, s in tokens], width, colour))
    assert cell_len(legend) <= 80
    lines = [line for line in lines if not line.startswith("[...")]
    assert all(cell_len(line) <= width for line in lines)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for line in lines for character in line)


def test_no_visible_character_is_lost() -> None:
    text = "The keeper lit the lamp at nine. " * 12 + "a" * 200
    tokens = [text[at : at + 5] for at in range(0, len(text), 5)]
    lines = plain(draw_kept_text(tokens, [0.0] * len(tokens), 40, False))[1:]
    assert "".join("".join(lines).split()) == "".join(text.split())
