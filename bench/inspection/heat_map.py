"""Draws keep counts as a map of layers and heads, for a terminal or a plain file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

RAMP = " .:-=+*#%@"
"""Shades in plain characters, from 0 to the largest share."""
COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""A perceptually uniform scale that is safe for colour-blind readers (anchors of "viridis")."""
LABEL, NUMBER, MEAN = 6, 5, 8


def shade(share: float) -> Style:
    """A background colour for a share from 0 to 1, with a readable text colour."""
    place = min(max(share, 0.0), 1.0) * (len(COLOURS) - 1)
    low = min(int(place), len(COLOURS) - 2)
    pairs = zip(COLOURS[low], COLOURS[low + 1], strict=True)
    red, green, blue = (round(a + (b - a) * (place - low)) for a, b in pairs)
    letters = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "white"
    return Style(color=letters, bgcolor=Color.from_rgb(red, green, blue).name)


def draw_heat_map(
    counts: NDArray[np.int64], n_tokens: int, width: int, colour: bool, layers: Sequence[int] = ()
) -> list[Text]:
    """A row for each layer, a cell for each KV head, and the layer's mean.

    Cells show per cent of the tokens if they fit into the width, else only shades, wrapped into rows.

    Args:
        counts: [L, H].
        n_tokens: T.
        width: Available columns.
        colour: Whether cells have background colours; plain characters otherwise.
        layers: The number of each layer [L]; they are counted from 0 where it is empty.
    """
    n_heads = counts.shape[1]
    shares = counts / n_tokens
    most = float(shares.max())
    numbers = LABEL + NUMBER * n_heads + MEAN <= width
    per_row = n_heads if numbers else max(width - LABEL - MEAN, 1)
    lines = [*_title(shares, most, numbers, colour), _header(n_heads, numbers)]
    for layer, number in enumerate(layers or range(len(counts))):
        for first in range(0, n_heads, per_row):
            line = Text(f"{number:5d} " if first == 0 else " " * LABEL)
            for share in shares[layer, first : first + per_row].tolist():
                line.append_text(_cell(share, most, numbers, colour))
            if first + per_row >= n_heads:
                line.append(f"{100 * float(shares[layer].mean()):7.1f}")
            lines.append(line)
    return lines


def _title(shares: NDArray[np.float64], most: float, numbers: bool, colour: bool) -> list[Text]:
    cells = "per cent" if numbers else "shades for per cent"
    what = f"{cells} of the tokens that a KV head keeps; mean {100 * float(shares.mean()):.1f}, most {100 * most:.1f}"
    scale = Text("shades from 0 to the most: ")
    for place in range(len(RAMP)):
        level = place / (len(RAMP) - 1)
        scale.append(*((" ", shade(level)) if colour else (RAMP[place],)))
    return [Text(what), scale]


def _header(n_heads: int, numbers: bool) -> Text:
    heads = "".join(f"{f'h{head}':>4} " for head in range(n_heads)) if numbers else f"heads 0 to {n_heads - 1}"
    return Text(f"layer {heads}   mean" if numbers else f"layer {heads}, mean per cent at the end")


def _cell(share: float, most: float, numbers: bool, colour: bool) -> Text:
    level = share / most if most else 0.0
    mark = RAMP[round(level * (len(RAMP) - 1))]
    if colour:
        return Text(f"{100 * share:4.0f} " if numbers else " ", style=shade(level))
    return Text(f"{100 * share:4.0f}{mark}" if numbers else mark)
