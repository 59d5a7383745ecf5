"""Two configurations that a page holds side by side, chosen by the visitor."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import streamlit as st

from . import state
from .configurations import usual_pair


class Pair(NamedTuple):
    """The ids of two configurations."""

    a: str
    b: str


def choose_pair(cells: pd.DataFrame, names: Mapping[str, str]) -> Pair:
    """The two, by the query parameters `a` and `b`; at first the usual pair.

    Args:
        cells: At least one, with the columns of `read_cells`.
        names: By configuration, see `name_configurations`.
    """
    usual = usual_pair(cells)
    options = [str(each) for each in cells["configuration"].drop_duplicates()]
    left, right = st.columns(2)
    with left:
        a = state.choice("a", "Configuration A", options, default=usual[0], shown=names.__getitem__)
    with right:
        b = state.choice("b", "Configuration B", options, default=usual[1], shown=names.__getitem__)
    return Pair(a, b)
