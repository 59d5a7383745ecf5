"""Links from page to page that keep the filters."""

from pathlib import Path

import streamlit as st

from .filters import FILTER_KEYS

_PAGES = Path(__file__).parent / "page_scripts"


def show_link(page: str, label: str, help: str | None = None, **parameters: str) -> None:
    """A link to another page of the site, if it is there.

    Args:
        page: Name of its file, such as "samples".
        label: Words of ours.
        help: What is behind the link.
        parameters: Its query parameters, beside those of the filters.
    """
    if not (_PAGES / f"{page}.py").is_file():
        return
    kept: dict[str, str | list[str]] = {
        key: st.query_params.get_all(key) for key in FILTER_KEYS if key in st.query_params
    }
    st.page_link(f"page_scripts/{page}.py", label=label, help=help, query_params={**kept, **parameters})
