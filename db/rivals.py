"""Which cell each cell is held against: the one rule of pairing.

Two cells are compared when they differ in nothing but what was named: same task, length and data, and the same
configuration but for the named parts. Samples are paired later, by the samples that both answered.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import compress
from operator import itemgetter
from typing import Any

from .. import UserError
from .labels import ONE_SHOT, allocator_label, budget_label, is_oracle, method_name, schedule_label, scorer_label
from .results import Row

_ALLOCATOR = frozenset({"allocator", "profile_hash"})
_SCORER = frozenset({"scorer", "sink", "window"})
"""A scorer brings its own protected tokens unless they are typed, and its own profile."""
_BUDGET = frozenset({"ratio", "keep_tokens"})
_SCHEDULE = frozenset({"schedule"})
_SHARED = ("model_revision", "dtype", "protocol", "seed", "code_version")
"""What cells must share to be compared at all."""

_ID = re.compile("[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Against:
    """The rows that others are held against.

    Attributes:
        text: As it was typed.
        is_one: Whether a row is one of them.
        named: The parts of a configuration in which the others may differ; None = in all but `_SHARED`.
    """

    text: str
    is_one: Callable[[Row], bool]
    named: frozenset[str] | None


UNIFORM = Against("uniform", lambda row: row["allocator"] == "uniform" and not is_oracle(row), _ALLOCATOR)
"""What rows are held against unless something else is named; never an oracle."""


@dataclass(frozen=True)
class Rivals:
    """Cells and what they are held against.

    Attributes:
        of: Cell -> the cell it is held against.
        ambiguous: Cells for which several would do: they have none.
    """

    of: Mapping[str, str]
    ambiguous: Mapping[str, Sequence[str]]


def parse_against(text: str, rows: Sequence[Row]) -> Against:
    """What `--against TEXT` means among these rows.

    An allocator ("uniform", "lukv:floor=4"), an allocator and a scorer ("adakv x snapkv"), those with schedule and
    budget as in a row's label, or the first letters of a cell's or configuration's id, at least four.

    Raises:
        UserError: it is none of them, or begins the ids of several.
    """
    allocators = {name for row in rows for name in _allocator_names(row)}
    if text in allocators:
        named = _ALLOCATOR | (_SCORER | _BUDGET | _SCHEDULE if text == "full" else frozenset())
        return Against(text, lambda row: text in _allocator_names(row), named)
    pairs = {pair for row in rows for pair in _pair_names(row)}
    if text in pairs:
        return Against(text, lambda row: text in _pair_names(row), _ALLOCATOR | _SCORER)
    if any(text in (row["label"], _full_name(row)) for row in rows):
        named = _ALLOCATOR | _SCORER | _BUDGET | _SCHEDULE
        return Against(text, lambda row: text in (row["label"], _full_name(row)), named)
    if _ID.fullmatch(text):
        return Against(text, _by_id(text, rows), None)
    near = get_close_matches(text, [*allocators, *pairs], n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(sorted(allocators)) or 'no rows'}."
    raise UserError(f'"{text}" is no allocator, "ALLOCATOR x SCORER" or id of these results; {hint}')


def find_rivals(rows: Sequence[Row], against: Against) -> Rivals:
    """For each complete row the one complete row that it is held against, where there is exactly one."""
    complete = [row for row in rows if row["status"] == "complete"]
    keys = _keys(complete, against.named)
    is_one = [against.is_one(row) for row in complete]
    candidates: dict[tuple[Any, ...], list[Row]] = {}
    for row, key in compress(zip(complete, keys, strict=True), is_one):
        candidates.setdefault(key, []).append(row)
    of: dict[str, str] = {}
    ambiguous: dict[str, list[str]] = {}
    for row, key, is_itself in zip(complete, keys, is_one, strict=True):
        rivals = () if is_itself else _closest(row, candidates.get(key, ()))
        if len(rivals) == 1:
            of[row["cell"]] = rivals[0]["cell"]
        elif rivals:
            ambiguous[row["cell"]] = [other["cell"] for other in rivals]
    return Rivals(of, ambiguous)


def check_unambiguous(rivals: Rivals, against: Against) -> None:
    """Insist that nothing named is more than one thing.

    Raises:
        UserError: several cells would do for one.
    """
    for cells in rivals.ambiguous.values():
        ids = ", ".join(cell[:8] for cell in cells[:3])
        raise UserError(
            f'"{against.text}" names {len(cells)} rows that a row could be held against ({ids}); '
            "name one by its id, as `results --json` shows it."
        )


def _closest(row: Row, candidates: Sequence[Row]) -> Sequence[Row]:
    """Those with the row's own schedule or else one-shot, and of them those with its own protected tokens, where there
    are any."""
    if len(candidates) < 2:
        return candidates
    for schedule in (schedule_label(row), ONE_SHOT):
        if scheduled := [other for other in candidates if schedule_label(other) == schedule]:
            candidates = scheduled
            break
    alike = [other for other in candidates if (other["sink"], other["window"]) == (row["sink"], row["window"])]
    return alike or candidates


def _keys(rows: Sequence[Row], named: frozenset[str] | None) -> list[tuple[Any, ...]]:
    """What each row and its rival have in common."""
    of_configuration: dict[str, str] = {}
    for row in rows:
        if row["configuration"] not in of_configuration:
            of_configuration[row["configuration"]] = _shared(row, named)
    place = itemgetter("task", "task_version", "data_revision", "length")
    return [(of_configuration[row["configuration"]], *place(row)) for row in rows]


def _shared(row: Row, named: frozenset[str] | None) -> str:
    """What a configuration and its rival have in common."""
    shared = {name: row[name] for name in _SHARED}
    if named is not None:
        shared |= {name: value for name, value in row["spec"].items() if name not in named | _follows(named)}
        shared["profiles"] = _profiles(row, named)
    return json.dumps(shared)


def _follows(named: frozenset[str]) -> frozenset[str]:
    """The parts that follow from named ones."""
    follows = {"allocator": {"oracle"}, "scorer": {"oracle", "scored_logits"}}
    return frozenset(part for name in named & follows.keys() for part in follows[name])


def _profiles(row: Row, named: frozenset[str]) -> dict[str, Any]:
    """The profiles beside `profile_hash` by path ("scorer", "allocator.of"), those of named parts left out."""
    profiles = row["spec"].get("profiles")
    items = profiles.items() if isinstance(profiles, dict) else ()
    return {path: digest for path, digest in items if path.split(".")[0] not in named}


def _by_id(prefix: str, rows: Sequence[Row]) -> Callable[[Row], bool]:
    cells = {row["cell"] for row in rows if row["cell"].startswith(prefix)}
    configurations = {row["configuration"] for row in rows if row["configuration"].startswith(prefix)}
    if len(cells) + len(configurations) > 1:
        raise UserError(f'"{prefix}" begins {len(cells) + len(configurations)} ids of these results; type more of it.')
    if not cells and not configurations:
        raise UserError(f'"{prefix}" begins no id of these results; `results --json` shows them.')
    return lambda row: row["cell"] in cells or row["configuration"] in configurations


def _allocator_names(row: Row) -> tuple[str, str]:
    return row["allocator"], allocator_label(row)


def _pair_names(row: Row) -> set[str]:
    if row["scorer"] is None:
        return set()
    scorers = (row["scorer"], scorer_label(row))
    return {f"{allocator} x {scorer}" for allocator in _allocator_names(row) for scorer in scorers}


def _full_name(row: Row) -> str:
    """As the table shows it: "lukv x keydiff, prune 0.8"."""
    return f"{method_name(row)}, {budget_label(row)}" if row["scorer"] else method_name(row)
