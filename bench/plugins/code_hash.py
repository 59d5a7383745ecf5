"""Hashes a plugin's code: the source of its module and of the modules of its package that it imports."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

OWN = "lukv_bench"
DIGITS = 16


def source_hash(plugin: Any) -> str | None:
    """16 hexadecimal digits that change with the code of a third-party plugin class; None if there is no source.

    They do not depend on paths, line endings and bytecode. Imports by a computed name, other packages and data files
    are not covered.
    """
    module = plugin.__module__
    package = module.partition(".")[0]
    texts: dict[str, str | None] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = text = _text(name)
            waiting += [] if text is None else _imports(name, text, package)
    if texts[module] is None:
        return None
    sources = sorted((name, text) for name, text in texts.items() if text is not None)
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:DIGITS]


def code_of(plugin: Any, version: str) -> str:
    """Identifies the version of a plugin class's code; "" for built-in plugins, which the code version covers."""
    if plugin.__module__.partition(".")[0] == OWN:
        return ""
    return source_hash(plugin) or f"no source, version {version or 'unknown'}"


def _spec(name: str) -> ModuleSpec | None:
    """A module's spec, found without importing the module; None if there is none."""
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    package = name.rpartition(".")[0]
    if loaded is not None or not package:
        return loaded
    above = _spec(package)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, above.submodule_search_locations)


def _text(name: str) -> str | None:
    spec = _spec(name)
    get = getattr(spec.loader, "get_source", None) if spec is not None else None
    if get is None:
        return None
    try:
        text = get(name)
    except (ImportError, OSError):
        return None
    return None if text is None else str(text).replace("\r\n", "\n")


def _imports(name: str, text: str, package: str) -> Iterator[str]:
    """Modules of the same package that a module imports, anywhere in its code."""
    spec = _spec(name)
    inside = name if spec is not None and spec.submodule_search_locations is not None else name.rpartition(".")[0]
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # it cannot be imported either; only its text is hashed
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == package)
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: len(inside.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base.partition(".")[0] == package:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
