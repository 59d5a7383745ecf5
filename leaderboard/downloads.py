"""A table with the button that saves it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from . import text

_MOST_ROWS = 18
"""Rows up to which a table is seen without scrolling in it."""

_MOST_PX = 680
"""The height of a longer one."""


def show_table(
    shown: pd.DataFrame,
    saved: pd.DataFrame,
    name: str,
    *,
    alt: str,
    columns: Mapping[str, Any] | None = None,
    on_select: Callable[[], None] | Literal["ignore"] = "ignore",
    height: int | None = None,
    more: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """A table, and the button that saves it.

    Args:
        shown: What a reader sees, columns by their titles.
        saved: What is saved, with plain numbers and ids.
        name: Of the file and of the button, different for each on a page.
        alt: What the table is, for screen readers.
        columns: Streamlit's configuration of columns, by their titles.
        on_select: Called when a row is clicked, or "ignore"; the row is then in the session state, under "table-NAME".
        height: In pixels, where the table is not to be as high as usual.
        more: Further frames that buttons beside the first one save, by name.
    """
    st.dataframe(
        text.table(shown),
        height=height or (_MOST_PX if len(shown) > _MOST_ROWS else "content"),
        hide_index=True,
        column_config=dict(columns or {}),
        placeholder="",
        alt=alt,
        key=f"table-{name}",
        on_select=on_select,
        selection_mode="single-row",
    )
    with st.container(horizontal=True):
        show_download(saved, name)
        for each, frame in (more or {}).items():
            show_download(frame, each, f"Download CSV: {each}")


def show_short_table(shown: pd.DataFrame, saved: pd.DataFrame, name: str, *, alt: str) -> None:
    """A table of few rows to be read: long texts wrap, a phone has room for it. Arguments as of `show_table`."""
    st.table(shown.map(text.markdown), hide_index=True, alt=alt)
    show_download(saved, name)


def show_download(frame: pd.DataFrame, name: str, label: str = "Download CSV") -> None:
    """The button that saves a frame as CSV, every text made harmless for a spreadsheet.

    Args:
        frame: What the table shows, with raw values.
        name: Of the file and of the button, different for each on a page.
        label: What stands on the button.
    """
    st.download_button(
        label,
        data=lambda: text.csv(frame),
        file_name=text.file_name(f"lukv-bench-{name}", "csv"),
        mime="text/csv",
        key=f"download-{name}",
        on_click="ignore",
        help=f"The {text.markdown(name)} table as a file for a spreadsheet or a script.",
    )
