"""Colours that differ for any colour vision and on a light or a dark page."""

import re
from collections.abc import Iterable

CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#7F7F7F")
"""Okabe and Ito's, without the black and the yellow that one of the two pages would hide."""

DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
"""Shapes beside the colours: nothing is told by colour alone."""

SCALE = "Cividis"
"""For amounts: read alike with any colour vision, and in grey."""

REFERENCE = "#7F7F7F"


def styles(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Colour, dash and marker of each name, the same wherever the same names are drawn."""
    return {
        name: {
            "colour": CATEGORIES[place % len(CATEGORIES)],
            "dash": DASHES[place // len(CATEGORIES) % len(DASHES)],
            "marker": MARKERS[place % len(MARKERS)],
        }
        for place, name in enumerate(sorted(set(names)))
    }


def luminance(colour: str) -> float:
    """How bright "rgb(r, g, b)" is, 0 to 1, as the web's guidelines on contrast define it."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour; their contrast to it is at least 4.5."""
    return "#000000" if luminance(colour) > 0.179 else "#FFFFFF"


def translucent(colour: str, share: float) -> str:
    """A colour as plotly takes it, with so much of what lies behind left to see."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
