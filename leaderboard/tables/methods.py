"""Plugins as the runs recorded them: a list, and the arguments of one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

LIST_COLUMNS = ("kind", "name", "summary", "distribution", "version", "source")
ARGUMENT_COLUMNS = ("argument", "type", "default", "meaning")


def method_table(pages: pd.DataFrame) -> pd.DataFrame:
    """A row per plugin and version, with LIST_COLUMNS.

    Args:
        pages: Of `read_method_pages`.
    """
    return pages[list(LIST_COLUMNS)].reset_index(drop=True)


def argument_table(arguments: list[Mapping[str, Any]]) -> pd.DataFrame:
    """A row per argument, with ARGUMENT_COLUMNS; whatever a record lacks is left empty."""
    rows = [
        {
            "argument": each.get("name"),
            "type": each.get("type"),
            "default": "required"
            if each.get("required") is True
            else repr(each["default"])
            if "default" in each
            else None,
            "meaning": each.get("meaning") or None,
        }
        for each in arguments
    ]
    return pd.DataFrame(rows, columns=list(ARGUMENT_COLUMNS), dtype="object")


def page_title(page: Mapping[Any, Any]) -> str:
    """A plugin by its kind and name, and whose version it is: "allocator lukv (lukv-bench 0.1.0)"."""
    return f"{page['kind']} {page['name']} ({page['distribution']} {page['version']})"
