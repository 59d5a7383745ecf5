"""Plugins by name, read from installed packages' metadata alone: nothing of a plugin is imported."""

import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from ... import UserError
from ..suggest import unknown
from .contract import Kind


def registered(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Name -> where it is registered; more than one place is a collision."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"lukv_bench.{kind}s"):
        same = points.setdefault(point.name, [])
        if all(point.value != other.value for other in same):
            same.append(point)
    return points


def check_name(kind: Kind, spec: str) -> None:
    """Refuse a "name" or "name:key=value,..." whose name no plugin of the kind has.

    Raises:
        UserError: it has none, or it is of the other kind.
    """
    name = spec.partition(":")[0]
    known = registered(kind)
    if name in known:
        return
    other: Kind = "scorer" if kind == "allocator" else "allocator"
    if name in registered(other):
        raise UserError(f"{name!r} is no {kind}: it is one of the {other}s (--{other}).")
    raise unknown(kind, name, known)


def split_specs(kind: Kind, texts: Sequence[str]) -> list[str]:
    """The plugins that repeated options name, each of which may name several: "snapkv:window=64,kernel=5,keydiff".

    Raises:
        UserError: a text names none, or a name is unknown.
    """
    known = registered(kind)
    specs: list[str] = []
    for text in texts:
        parts = [spec.strip() for spec in _split(text, known) if spec.strip()]
        if not parts:
            raise UserError(f"--{kind} is empty; name at least one, or leave the option out.")
        specs += parts
    for spec in specs:
        check_name(kind, spec)
    return list(dict.fromkeys(specs))


def _split(text: str, known: dict[str, list[EntryPoint]]) -> list[str]:
    """Cut at the commas between plugins. Behind a plugin's colon a comma may stand before its next argument or inside
    a value (a path for one): there only a registered name begins another plugin."""
    parts, begin, depth = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")" and depth > 0)
        if letter != "," or depth:
            continue
        name = re.match(r"\s*([^\s,:=()]+)\s*(?=[,:]|$)", text[at + 1 :])
        if ":" not in text[begin:at] or (name and name[1] in known):
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]
