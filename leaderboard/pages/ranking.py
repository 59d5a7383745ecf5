"""Leaderboard: the configurations of one setting, ranked."""

import streamlit as st

from lukv_bench.leaderboard import text
from lukv_bench.leaderboard.downloads import show_download
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.view import View, current_view


def show(view: View) -> None:
    """Draw the page."""
    st.title("Leaderboard")
    if view.cells.empty:
        show_no_rows()
        return
    shown = view.cells[["method", "budget", "task", "length", "score", "status"]]
    st.dataframe(text.table(shown), hide_index=True)
    show_download(shown, "ranking")


show(current_view())
