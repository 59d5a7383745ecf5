"""Finds plugins by name in the metadata of installed packages, without importing them."""

import re
import sys
from collections.abc import Collection, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints
from importlib.metadata import entry_points as read_entry_points
from pathlib import Path

from ... import UserError
from ..suggest import unknown
from .commas import has_open_bracket, split_at_commas, unmatched_brackets
from .contract import METHODS, Kind
from .plugin import Description


def registered(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Name -> its entry points; more than one is a collision."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"lukv_bench.{kind}s"):
        same = points.setdefault(point.name, [])
        if all(point.value != other.value for other in same):
            same.append(point)
    return points


def entry_points(group: str) -> EntryPoints:
    """The entry points of a kind's group in all installed packages."""
    return _groups(tuple((place, _changed_ns(Path(place))) for place in sys.path))[group]


def _changed_ns(place: Path) -> int:
    """When a folder of the import path was last changed, which adding or removing a package does."""
    return place.stat().st_mtime_ns if place.exists() else 0


@lru_cache(maxsize=1)
def _groups(places: tuple[tuple[str, int], ...]) -> dict[str, EntryPoints]:
    """Each kind's group. Cached, since a command asks a dozen times, and reading opens a file of every package."""
    points = read_entry_points()
    return {group: points.select(group=group) for group in (f"lukv_bench.{kind}s" for kind in METHODS)}


def origin_of(kind: Kind, name: str, point: EntryPoint) -> Description:
    """A plugin's description from the metadata of its distribution."""
    distribution, version = distribution_of(point)
    return Description(
        kind=kind,
        name=name,
        origin=f"{distribution} {version} ({point.value})",
        distribution=distribution,
        version=version,
    )


def distribution_of(point: EntryPoint) -> tuple[str, str]:
    """(name, version) of the distribution that registered it; either may be missing and is then ""."""
    if point.dist is None:
        return "", ""
    metadata = point.dist.metadata  # read once: each access parses the file
    return str(metadata["Name"] or ""), str(metadata["Version"] or "")


def check_name(kind: Kind, spec: str) -> None:
    """Refuse a "name" or "name:key=value,..." whose name is not a plugin of the kind.

    Raises:
        UserError: the name is unknown, or of the other kind.
    """
    _check_registered(kind, spec, registered(kind))


def split_specs(kind: Kind, texts: Sequence[str]) -> list[str]:
    """The plugins that repeated options name, each of which may name several: "snapkv:window=64,kernel=5,keydiff".

    Raises:
        UserError: a text names none, a name is unknown, or brackets do not match.
    """
    names = registered(kind)

    def starts_plugin(before: str, rest: str) -> bool:
        """After a plugin's colon a comma may precede its next argument or be part of a value such as a path: there
        only a registered name starts another plugin."""
        name = re.match(r"\s*([^\s,:=()]+)\s*(?=[,:]|$)", rest)
        return ":" not in before or (name is not None and name[1] in names)

    specs: list[str] = []
    for text in texts:
        parts = [spec.strip() for spec in split_at_commas(text, starts_plugin) if spec.strip()]
        if not parts:
            raise UserError(f"--{kind} is empty; name at least one, or leave the option out.")
        specs += parts
    for spec in specs:
        _check_registered(kind, spec, names)
        if has_open_bracket(spec):
            raise unmatched_brackets(kind, spec.partition(":")[0], spec)
    return list(dict.fromkeys(specs))


def _check_registered(kind: Kind, spec: str, names: Collection[str]) -> None:
    name = spec.partition(":")[0]
    if name in names:
        return
    other: Kind = "scorer" if kind == "allocator" else "allocator"
    if name in registered(other):
        raise UserError(f"{name!r} is not one of the {kind}s but of the {other}s (--{other}).")
    raise unknown(kind, name, names)
