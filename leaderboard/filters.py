"""The filters beside every page: which setting, and which of its cells."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from ..db.comparable import SETTING, Setting
from ..db.frames.cells import read_cells
from ..db.frames.pages import read_method_pages
from ..db.frames.settings import read_settings
from . import state, text
from .incomplete import over_all_samples
from .record import Record
from .short_labels import with_short_methods
from .view import View

SETTING_HELP = (
    "What results must share to be compared: model and its revision, precision, protocol, seed and the version of "
    "lukv-bench. Only one setting is shown at a time."
)


@dataclass(frozen=True)
class Filter:
    """A column of the cells by which they can be cut down.

    Attributes:
        column: Of `read_cells`.
        label: The widget's.
        missing: Stands for a missing value: the length of a task that has none, the scorer of a full cache.
    """

    column: str
    label: str
    missing: str = "none"

    def shown(self, value: object) -> object:
        """A value of the column in words."""
        return self.missing if value is None else value


PLACES = (Filter("task", "Tasks"), Filter("length", "Lengths", "as they come"))
METHODS = (
    Filter("allocator", "Allocators"),
    Filter("scorer", "Scorers", "none (full cache)"),
    Filter("budget", "Budgets"),
)
"""In the order of the sidebar; the column is also the query parameter."""


def show_filters(record: Record, *, disabled: bool = False) -> View:
    """Draw the filters in the sidebar, and cut the cells down to what they leave.

    Args:
        record: With one setting at least.
        disabled: For a page that shows everything: what was chosen stays for the next page.
    """
    with st.sidebar:
        settings = [Setting(*row) for row in record.read(read_settings)[list(SETTING)].itertuples(index=False)]
        setting = state.choice(
            "setting", "Setting", settings, shown=lambda each: each.title, help=SETTING_HELP, disabled=disabled
        )
        st.caption(text.markdown(setting.title))  # the list shows its beginning alone
        cells, n_left_out, values = record.derive(_cells, setting, inputs=(record, setting))
        if n_left_out:
            st.caption(f"{n_left_out:,} results on other versions of a task are left out.")
        chosen = {each.column: _chosen(values[each.column], each, disabled) for each in (*PLACES, *METHODS)}
        pool = _filtered(cells, PLACES, chosen)
        kept = _filtered(pool, METHODS, chosen)
        st.caption(rows_left(len(kept), len(cells)))
        if disabled:
            st.caption("This page shows everything, whatever the filters.")
    return View(record, setting, pool, kept)


def _cells(record: Record, setting: Setting) -> tuple[pd.DataFrame, int, dict[str, list[Any]]]:
    """The cells of a setting, how many more ask other questions, and the values that each filter can let through."""
    everything = with_short_methods(read_cells(record.reader, setting), record.read(read_method_pages))
    cells = over_all_samples(newest_questions(everything))
    values = {each.column: options_of(cells[each.column]) for each in (*PLACES, *METHODS)}
    return cells, len(everything) - len(cells), values


def newest_questions(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that ask the same questions: of each task and length those of the version that most cells have."""
    place, version = ["task", "length"], ["task_version", "data_revision"]
    sizes = cells.groupby([*place, *version], dropna=False).size().rename("n").reset_index()
    kept = sizes.sort_values(["n", *version], ascending=False, kind="stable").drop_duplicates(place)
    if len(kept) == len(sizes):
        return cells
    keys = pd.MultiIndex.from_frame(kept[[*place, *version]])
    return cells[pd.MultiIndex.from_frame(cells[[*place, *version]]).isin(keys)]


def rows_left(n_left: int, n_all: int) -> str:
    """What the filters left, in words."""
    return f"{n_left:,} of {n_all:,} results left by the filters." if n_left != n_all else f"All {n_all:,} results."


def _chosen(values: list[Any], each: Filter, disabled: bool) -> list[Any] | None:
    """The values that a filter lets through, of all that the setting has; None for every one."""
    if len(values) < 2 and not st.query_params.get_all(each.column):
        return None
    chosen = state.choices(each.column, each.label, values, shown=each.shown, disabled=disabled)
    return chosen if len(chosen) < len(values) else None


def _filtered(cells: pd.DataFrame, filters: Sequence[Filter], chosen: Mapping[str, list[Any] | None]) -> pd.DataFrame:
    for each in filters:
        values = chosen[each.column]
        if values is not None:
            cells = with_values(cells, each.column, values)
    return cells


def options_of(column: "pd.Series[Any]") -> list[Any]:
    """The values of a column in order, None for the missing ones; numbers within texts count as numbers."""
    values = sorted(column.dropna().unique(), key=natural)
    return [*([None] if column.isna().any() else []), *values]


def natural(value: object) -> list[tuple[float, str]]:
    """A key that sorts "keep 64" before "keep 256"."""
    parts = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return [(float(part), "") if place % 2 else (0.0, part) for place, part in enumerate(parts)]


def with_values(cells: pd.DataFrame, column: str, values: Sequence[Any]) -> pd.DataFrame:
    """The rows whose column has one of some values; None stands for missing."""
    is_chosen = cells[column].isin([value for value in values if value is not None])
    return cells[is_chosen | cells[column].isna()] if None in values else cells[is_chosen]
