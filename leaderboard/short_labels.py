"""Methods by the shortest text that one may type for them: arguments that have their defaults are left out."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..db.labels import method_label, oracle_suffix, schedule_suffix

_KINDS = ("allocator", "scorer")

Defaults = Mapping[tuple[str, ...], Mapping[str, Any]]
"""Default values of a plugin's arguments, by kind, name, distribution and version."""


def with_short_methods(cells: pd.DataFrame, pages: pd.DataFrame) -> pd.DataFrame:
    """The same cells, `method` cut down to what is not a default.

    Args:
        cells: With the columns of `read_cells`.
        pages: Of `read_method_pages`, which say what the defaults were; a method without a page stays as it is.
    """
    defaults = _defaults(pages)
    rows = cells.drop_duplicates("configuration").to_dict("records")
    labels = {row["configuration"]: _label({str(name): value for name, value in row.items()}, defaults) for row in rows}
    return cells.assign(method=pd.Series(cells["configuration"].map(labels), index=cells.index, dtype="object"))


def _defaults(pages: pd.DataFrame) -> Defaults:
    return {
        tuple(str(page[part]) for part in ("kind", "name", "distribution", "version")): {
            str(argument["name"]): argument.get("default")
            for argument in page["arguments"]
            if "name" in argument and not argument.get("required")
        }
        for page in pages.to_dict("records")
    }


def _label(row: Mapping[str, Any], defaults: Defaults) -> str:
    spec = row["spec"] if isinstance(row["spec"], dict) else {}
    kinds = [kind for kind in _KINDS if row[kind] is not None]
    shown = []
    for kind in kinds:
        plugin = spec.get(kind)
        source = plugin if isinstance(plugin, dict) else {}
        arguments = row[f"{kind}_args"] if isinstance(row[f"{kind}_args"], dict) else {}
        shown.append(method_label(row[kind], _typed(kind, row[kind], source, arguments, defaults)))
    return " x ".join(shown) + schedule_suffix(row) + oracle_suffix(row)


def _typed(
    kind: str, name: str, source: Mapping[str, Any], arguments: Mapping[str, Any], defaults: Defaults
) -> dict[str, Any]:
    """The arguments that differ from their defaults; those of a plugin that is held by this one likewise."""
    usual = defaults.get((kind, name, str(source.get("distribution")), str(source.get("version"))), {})
    return {
        key: _held(kind, value, defaults)
        for key, value in arguments.items()
        if key not in usual or usual[key] != value or type(usual[key]) is not type(value)
    }


def _held(kind: str, value: Any, defaults: Defaults) -> Any:
    if not (isinstance(value, dict) and isinstance(value.get("arguments"), dict) and "name" in value):
        return value
    return value | {"arguments": _typed(kind, str(value["name"]), value, value["arguments"], defaults)}
