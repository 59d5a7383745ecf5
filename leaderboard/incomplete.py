"""The configurations that lack answers, named wherever one is shown: their means would be over other questions."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import streamlit as st

from . import text
from .configurations import name_configurations
from .view import View, place_label

MOST_NAMED = 3
_MOST_TASKS = 4

_SCORES = ["score", "stderr", "interval_low", "interval_high"]


def over_all_samples(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells, of which those over fewer samples than another of the same task and length are partial, without score.

    A `--limit` may have left each of them complete. `own_status` is what a cell is by its own number of samples.

    Args:
        cells: With the columns of `read_cells`, one version of each task.
    """
    is_complete = cells["status"] == "complete"
    place = [cells["task"], cells["length"]]
    most = cells["samples_asked"].where(is_complete, 0).groupby(place, dropna=False).transform("max")
    is_short = is_complete & (cells["samples_asked"] < most)
    lowered = cells.assign(own_status=cells["status"])
    if is_short.any():
        lowered.loc[is_short, "status"] = "partial"
        lowered.loc[is_short, "samples_asked"] = most[is_short]
        lowered.loc[is_short, _SCORES] = np.nan
    return lowered


def missing_answers(pool: pd.DataFrame) -> dict[str, list[str]]:
    """What each incomplete configuration lacks, a text a task: "niah 1280: 11 of 12 samples".

    Args:
        pool: With the columns of `read_cells`, every configuration that is compared.
    """
    groups = pool.groupby(["task", "length"], dropna=False)
    asked = groups["samples_asked"].max().reset_index()
    rows = pool.assign(place=groups.ngroup(), is_complete=pool["status"] == "complete")
    n_complete = rows.groupby("configuration", sort=False)["is_complete"].sum()
    lacking = rows[rows["configuration"].isin(n_complete.index[n_complete < len(asked)])]
    titles = [(place_label((task, length)), n) for task, length, n in asked.itertuples(index=False)]
    return {str(name): _missing(cells, titles) for name, cells in lacking.groupby("configuration", sort=False)}


def _missing(cells: pd.DataFrame, titles: list[tuple[str, int]]) -> list[str]:
    complete = set(cells.loc[cells["is_complete"], "place"])
    n = dict(zip(cells["place"], cells["n"], strict=True))
    places = enumerate(titles)
    return [
        f"{title}: {n.get(place, 0)} of {asked} samples" for place, (title, asked) in places if place not in complete
    ]


def show_incomplete(view: View, configurations: Iterable[str]) -> None:
    """Say which of some configurations are incomplete, and what they lack; nothing where none is."""
    missing = view.derive(missing_answers)
    lacking = [each for each in dict.fromkeys(configurations) if each in missing]
    if not lacking:
        return
    names = view.derive(name_configurations)
    listed = "; ".join(
        f"**{text.markdown(names[each])}** ({_in_short(missing[each])})" for each in lacking[:MOST_NAMED]
    )
    more = f"; and {len(lacking) - MOST_NAMED:,} more" if len(lacking) > MOST_NAMED else ""
    st.warning(f"Incomplete, so neither averaged nor ranked: {listed}{more}.")


def _in_short(missing: list[str]) -> str:
    more = f" and {len(missing) - _MOST_TASKS} more tasks" if len(missing) > _MOST_TASKS else ""
    return text.markdown(", ".join(missing[:_MOST_TASKS])) + more
