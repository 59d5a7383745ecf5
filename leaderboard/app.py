"""The script that Streamlit runs for every visitor: `lukv-bench leaderboard`, or `streamlit run` with this file."""

import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
for place in [*sys.path]:  # a copy: the threads of other visitors change the list
    if Path(place or ".").resolve() == HERE:
        with suppress(ValueError):
            sys.path.remove(place)  # our file names are no modules

import streamlit as st  # noqa: E402

from lukv_bench.leaderboard.site import show_site  # noqa: E402

st.set_page_config("lukv-bench leaderboard", layout="wide")
show_site(HERE / "page_scripts")  # Streamlit takes a folder named pages for a site without navigation of its own
