"""A table with the button that saves it."""

import pandas as pd
import streamlit as st

from . import text


def show_download(frame: pd.DataFrame, name: str) -> None:
    """The button that saves a frame as CSV, every text made harmless for a spreadsheet.

    Args:
        frame: What the table shows, with raw values.
        name: Of the file and of the button, different for each on a page.
    """
    st.download_button(
        "Download CSV",
        data=lambda: text.csv(frame),
        file_name=text.file_name(f"lukv-bench-{name}", "csv"),
        mime="text/csv",
        key=f"download-{name}",
        on_click="ignore",
        help=f"The {name} table as a file for a spreadsheet or a script.",
    )
