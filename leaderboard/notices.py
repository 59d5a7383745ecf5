"""Pages in the place of results: there are none, or the database cannot be read."""

import streamlit as st

from .. import UserError
from ..db.errors import StoreError
from . import text

HEADINGS: dict[str, str] = {
    "NoResultsError": "No results yet",
    "OlderSchemaError": "Written by an older lukv-bench",
    "NewerSchemaError": "Written by a newer lukv-bench",
    "ForeignDatabaseError": "Not a database of lukv-bench",
    "LockedError": "The database is locked",
    "BusyError": "The database is locked",
    "UnreadableError": "The database cannot be read",
}
"""By the kind of error."""

FIRST_RUN = "lukv-bench run --allocator lukv --scorer keydiff"


def show_failure(error: UserError | StoreError) -> None:
    """What is wrong with the database, and what to type."""
    name = next((each.__name__ for each in type(error).__mro__ if each.__name__ in HEADINGS), "")
    st.title(HEADINGS.get(name, "The database cannot be read"))
    st.write(text.markdown(str(error), text.MOST_IN_BLOCK))
    if name == "NoResultsError":
        st.code(FIRST_RUN, language="shell")
    st.caption("This page looks again by itself every few seconds.")


def show_empty(*, has_costs: bool) -> None:
    """A database with our tables and no answers in them; it may hold measurements of cost."""
    st.title("No results yet")
    if has_costs:
        st.write(
            "Cost was measured, and is shown on the page Cost. No run has stored answers beside it. Make some with:"
        )
    else:
        st.write("The database is there, and no run has stored a result in it. Make some with:")
    st.code(FIRST_RUN, language="shell")
    st.caption("This page looks again by itself every few seconds.")


def show_no_rows() -> None:
    """The filters left nothing."""
    st.info("The filters leave no result; take one of them away.")


def show_example_notice() -> None:
    """Say that the results are not the visitor's."""
    st.info(f"These results are an example. Your own appear in their place after `{FIRST_RUN}`.")
