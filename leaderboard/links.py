"""Links from page to page; the filters come along by themselves."""

import streamlit as st


def show_link(page: str, label: str, help: str | None = None, **parameters: str) -> None:
    """A link to another page of the site.

    Args:
        page: Name of its file, such as "samples".
        label: Words of ours.
        help: What is behind the link.
        parameters: Query parameters of that page.
    """
    st.page_link(
        f"page_scripts/{page}.py",
        label=label,
        icon=":material/arrow_forward:",
        icon_position="right",
        help=help,
        query_params=parameters,
    )
