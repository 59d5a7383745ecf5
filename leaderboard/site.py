"""What every page has around it: navigation, filters, notices, and the look for new answers."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from .. import UserError
from ..db.errors import StoreError
from ..db.frames.costs import read_cost_frame
from ..db.frames.settings import read_settings
from . import notices
from .filters import show_filters
from .record import Record, current_record, forget_reader
from .view import hand_over

LOOK_AGAIN_S = 5
"""Seconds between two looks for new answers."""

PAGES = {
    "ranking": "Leaderboard",
    "tradeoffs": "Trade-offs",
    "recommend": "Recommend",
    "cost": "Cost",
    "tasks": "Tasks",
    "evidence": "Evidence",
    "budgets": "Budgets",
    "compare": "Compare",
    "samples": "Samples",
    "methods": "Methods",
    "about": "About the numbers",
}
"""Title of every page by the name of its file, which is its address too, in the order of the navigation."""

STYLE = Path(__file__).with_name("style.css")

UNFILTERED = ("Cost", "Methods", "About the numbers")
"""Pages that show all that the record holds."""


def show_site(folder: Path) -> None:
    """Draw the page that the visitor is on.

    Args:
        folder: Of the pages' scripts.
    """
    files = [(folder / f"{name}.py", title) for name, title in PAGES.items()]
    st.html(STYLE)
    page = st.navigation([st.Page(file, title=title) for file, title in files if file.exists()])
    state = _state()
    if isinstance(state, Record):
        _show_record(state, page)
    else:
        notices.show_failure(state)
    _look_again(_name(state))


def _show_record(record: Record, page: StreamlitPage) -> None:
    """The page over the record, and what stands around it."""
    if record.read(read_settings).empty:
        has_costs = not record.read(read_cost_frame).empty
        if has_costs and page.title == "Cost":
            page.run()
        else:
            notices.show_empty(has_costs=has_costs)
        return
    if record.is_example:
        notices.show_example_notice()
    hand_over(show_filters(record, disabled=page.title in UNFILTERED))
    try:
        page.run()
    except StoreError as error:  # the database went away while the page was read
        forget_reader()
        notices.show_failure(error)


def _state() -> Record | UserError | StoreError:
    """The database as it is now, or why it cannot be shown."""
    try:
        record = current_record()
        record.read(read_settings)
    except (UserError, StoreError) as error:
        forget_reader()
        return error
    return record


def _name(state: Record | UserError | StoreError) -> str:
    """Another one whenever another page has to be drawn."""
    return state.version if isinstance(state, Record) else str(state)


@st.fragment(run_every=LOOK_AGAIN_S)
def _look_again(shown: str) -> None:
    """Draw everything again when the database has changed, can be read at last, or fails in another way."""
    if _name(_state()) != shown:
        st.rerun()
