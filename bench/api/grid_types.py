"""The types of a grid's options, as any caller of Python may give them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .axes import AXES
from .grid import Grid
from .several import read_once
from .single import (
    auto_or_whole_number,
    check_progress,
    optional_gib,
    optional_number,
    optional_place,
    optional_switch,
    optional_text,
    switch,
    text_of,
)


def checked_types(grid: Grid) -> Grid:
    """The grid with every option of its type, and iterators turned into lists.

    Raises:
        UserError: an option is of another type.
    """
    check_progress(grid.progress)
    checks: Mapping[Callable[[str, Any], Any], Sequence[str]] = {
        lambda _, value: read_once(value): (*AXES, "include", "exclude", "question"),
        text_of: ("protocol",),
        optional_text: ("device", "dtype", "backend", "shard", "executor", "address", "metric", "data_name"),
        auto_or_whole_number: ("batch",),
        optional_gib: ("max_memory",),
        optional_number: ("answer_tokens", "limit", "sink", "window", "max_length", "workers", "repeats", "new_tokens"),
        optional_place: ("data", "data_dir", "samples", "db"),
        optional_switch: ("fidelity",),
        switch: (
            *("thinking", "truncate", "baselines", "drafts", "redo", "fail_fast", "keep_prompts", "evidence_layers"),
            *("cost", "floors", "oracles"),
        ),
    }
    checked = {name: check(name, getattr(grid, name)) for check, names in checks.items() for name in names}
    return replace(grid, **checked)
