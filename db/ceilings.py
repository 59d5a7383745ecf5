"""Each score as a share of the way from a floor to an oracle: what a method gets of what there is to be had.

The floor keeps the first and the last tokens whatever they say (`uniform` x `streaming_llm`), the oracle has read what
the reference answer attends to (`oracle` x `oracle`), both in the setting of the row: the same samples, budget and
schedule, and its own sink and window where there are several.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .labels import is_oracle
from .results import Row
from .rivals import Against, find_rivals

FLOOR = ("uniform", "streaming_llm")
FLOORS = (FLOOR, ("uniform", "random"))
ORACLE = ("oracle", "oracle")
"""Allocator and scorer, by name."""

_NAMED = frozenset({"allocator", "profile_hash", "scorer", "sink", "window"})
"""In what a row and its floor may differ."""


def shares_of_oracle(rows: Sequence[Row]) -> dict[str, float]:
    """By cell 100 x (score - floor) / (oracle - floor), in percent.

    A cell has none where floor or oracle is missing, incomplete, more than one or over another number of samples, or
    where the oracle is not above the floor; neither has a full cache, which has no budget. It may be below 0 and above
    100: an oracle knows what is attended to, not what is answered.

    Args:
        rows: Of `read_results`.
    """
    scores = {str(row["cell"]): float(row["score"]) for row in rows if row["status"] == "complete"}
    floors, oracles = _ends(rows)
    return {
        cell: share
        for cell, score in scores.items()
        if cell in floors
        and cell in oracles
        and (share := _share(score, scores[floors[cell]], scores[oracles[cell]])) is not None
    }


def configuration_shares(rows: Sequence[Row], name: Callable[[Row], str]) -> dict[str, float]:
    """The same of mean scores over several tasks, by configuration: where every cell has a floor and an oracle.

    Args:
        rows: Of `read_results`.
        name: Of a row's configuration.
    """
    floors, oracles = _ends(rows)
    scores = {str(row["cell"]): float(row["score"]) for row in rows if row["status"] == "complete"}
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(name(row), []).append(str(row["cell"]))
    found: dict[str, float] = {}
    for configuration, own in cells.items():
        if all(cell in scores and cell in floors and cell in oracles for cell in own):
            means = (np.mean([scores[end[cell] if end else cell] for cell in own]) for end in ({}, floors, oracles))
            score, floor, oracle = map(float, means)
            if (share := _share(score, floor, oracle)) is not None:
                found[configuration] = share
    return found


def _share(score: float, floor: float, oracle: float) -> float | None:
    return 100 * (score - floor) / (oracle - floor) if oracle > floor else None


def _ends(rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """By cell the cells of its floor and of its oracle; each of these is its own."""
    budgeted = [row for row in rows if row["scorer"] is not None] if any(map(is_oracle, rows)) else []
    return _end(budgeted, FLOOR, oracle=False), _end(budgeted, ORACLE, oracle=True)


def _end(rows: Sequence[Row], names: tuple[str, str], *, oracle: bool) -> dict[str, str]:
    def is_one(row: Row) -> bool:
        return (row["allocator"], row["scorer"]) == names and is_oracle(row) == oracle

    rule = Against(" x ".join(names), is_one, _NAMED)
    of = dict(find_rivals(rows, rule).of) | {str(row["cell"]): str(row["cell"]) for row in rows if is_one(row)}
    answered = {str(row["cell"]): (row["n"], row["samples_asked"]) for row in rows}
    return {cell: end for cell, end in of.items() if answered[cell] == answered[end]}
