"""Finds how much haystack fills a prompt, for any tokenizer, in a bounded number of counts.

A unit of haystack (a line, a word) costs about the same number of tokens everywhere, but not exactly,
and one unit more may even save a token: so every choice is counted, never computed.
"""

from collections.abc import Callable
from typing import NamedTuple

from .. import UserError

_GUESSES = 6
"""Probes estimated from the cost of a unit, before doubling and bisection, which always end."""

_UNITS_PER_TOKEN = 8
"""More words than any real tokenizer puts into one token. The limit ends the search for a tokenizer without its
vocabulary, which counts 0 tokens for every text."""


class Size(NamedTuple):
    """An amount of haystack, and the tokens of the whole prompt that holds it."""

    units: int
    tokens: int


def largest_fit(
    count: Callable[[int], int], start: Size, *, room: int, first_step: int, most: int | None = None
) -> Size:
    """Units of haystack whose prompt fits `room` tokens with less than 1% or one unit left over.

    `start` must fit. The first probe adds `first_step` units, to learn cheaply what a unit costs.
    `most` is how many units there are: it is the answer where all of them fit. Counts at most
    6 + 2 * log2(16 * room) prompts; commonly three of full length.
    """
    fits, over = start, None
    endless = start.units + _UNITS_PER_TOKEN * room
    ceiling = endless if most is None else min(endless, most)
    for probe in range(_GUESSES + 2 * ceiling.bit_length()):
        if _filled(fits, over, room) or fits.units == most:
            break
        if fits.units == ceiling:
            raise UserError(
                f"This tokenizer counts {fits.tokens} tokens in a prompt of {fits.units} words or lines, "
                f"so no prompt of {room} tokens can be made with it."
            )
        if probe == 0:
            units = start.units + first_step
        elif probe < _GUESSES:
            units = _guess(start, fits, over, room)
        else:
            units = fits.units * 2 if over is None else (fits.units + over.units) // 2
        size = Size(units := min(units, ceiling), count(units))
        fits, over = (size, over) if size.tokens <= room else (fits, size)
    return fits


def least_length(needed: Callable[[int], int], shortest: int) -> int:
    """A length above `shortest` that is enough by its own measure: needed(length) <= length.

    Every length draws its own samples, so the need at one length is only an estimate for the next. Needs differ by a
    few tokens and the estimates only grow, so the search ends within a few rounds. The length below the result is too
    short; an even shorter one may be enough by chance.
    """
    length = shortest
    for _ in range(64):
        need = needed(length)
        if need <= length:
            break
        length = need
    while length > shortest + 1 and needed(length - 1) <= length - 1:
        length -= 1
    return length


def _filled(fits: Size, over: Size | None, room: int) -> bool:
    return room - fits.tokens <= room // 100 or (over is not None and over.units - fits.units <= 1)


def _guess(start: Size, fits: Size, over: Size | None, room: int) -> int:
    """Interpolates towards the middle of the last 1%, or extrapolates while nothing was too long."""
    near, far = (fits, over) if over is not None else (start, fits)
    cost = max(far.tokens - near.tokens, 1) / (far.units - near.units)
    units = fits.units + max(1, int((room - room / 200 - fits.tokens) / cost))
    return units if over is None else min(units, over.units - 1)
