"""Saves and restores an attention module around a scorer. The contents of its weights are checked elsewhere."""

from collections.abc import Iterator
from typing import Any

REGISTRIES = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")
"""The dictionaries in which torch keeps a module's parts, besides its plain attributes."""


class ModuleState:
    """Attributes, weights, submodules and hooks of a module and all below it, by identity."""

    def __init__(self, module: Any) -> None:
        self._kept = [(prefix, inside, dict(inside)) for prefix, inside in _dictionaries(module)]

    def restore(self) -> list[str]:
        """Restore everything; returns the names of what was replaced. New attributes are kept, since they change
        nothing, except one that hides a method."""
        changed = []
        for prefix, inside, before in self._kept:
            gone = [name for name, value in before.items() if inside.get(name, inside) is not value]
            new = [name for name in inside.keys() - before.keys() if not prefix.endswith("!") or name == "forward"]
            changed += [f"{prefix.rstrip('!')}{name}" for name in (*gone, *sorted(map(str, new)))]
            for name in new:
                del inside[name]
            inside.update({name: before[name] for name in gone})
        return changed


def _dictionaries(module: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """(prefix, dictionary); the prefix of plain attributes ends with "!"."""
    for prefix, part in module.named_modules():
        dotted = f"{prefix}." if prefix else ""
        yield f"{dotted}!", vars(part)
        for name in REGISTRIES:
            yield f"{dotted}{name}." if "hooks" in name else dotted, getattr(part, name)
