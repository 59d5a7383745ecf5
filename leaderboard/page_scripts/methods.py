"""Methods: what each allocator and scorer is, as the runs recorded it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lukv_bench.db.frames.pages import read_method_pages
from lukv_bench.leaderboard import prose, state, text
from lukv_bench.leaderboard.downloads import show_short_table
from lukv_bench.leaderboard.tables.methods import argument_table, method_table, page_title
from lukv_bench.leaderboard.view import View, current_view

COLUMNS = {"name": "Name", "kind": "Kind", "summary": "What it does"}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Methods")
    st.write("What each allocator and scorer does, in the words that its own code had when a run last used it.")
    pages = view.record.read(read_method_pages)
    if pages.empty:
        st.info("No run has recorded the description of a method in this database.")
        return
    rows = pages.to_dict("records")
    number = state.choice("method", "Method", range(len(rows)), shown=lambda each: page_title(rows[each]))
    _show_page(rows[number])
    st.header("All methods")
    listed = method_table(pages)
    shown = listed[list(COLUMNS)].rename(columns=COLUMNS)
    show_short_table(shown, listed, "methods", alt="Allocators and scorers of this database")


def _show_page(page: Mapping[Any, Any]) -> None:
    st.header(text.markdown(page["name"], text.MOST_IN_LABEL))
    st.markdown(
        f"{text.markdown(page['kind'])} of {text.markdown(page['distribution'])} {text.markdown(page['version'])}"
    )
    st.markdown(f"**{text.markdown(page['summary'])}**")
    if page["source"] and "**Source:**" not in (page["details"] or ""):
        address = text.link(page["source"])
        shown = text.markdown(page["source"])
        st.markdown("Source: " + (shown if address is None else f"[{text.markdown(address)}](<{address}>)"))
    if not page["details"]:
        st.caption("An earlier version recorded no more than this.")
    for part in prose.parts(page["details"] or ""):
        if part.is_code:
            st.code(part.text, language=None, wrap_lines=True)
        else:
            st.markdown(part.text)
    arguments = argument_table(page["arguments"])
    if arguments.empty:
        st.caption("It takes no arguments.")
        return
    st.subheader("Arguments")
    titled = arguments.rename(columns=str.capitalize)
    show_short_table(titled, arguments, "arguments", alt="Arguments with their defaults")


show(current_view())
