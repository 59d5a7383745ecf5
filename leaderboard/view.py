"""What the pages show: one setting of the record, cut down by the filters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from ..db.comparable import Setting
from ..db.frames.sample_scores import read_sample_scores
from ..db.statistics.complete import place_title
from .record import Record

_KEY = "lukv_view"

T = TypeVar("T")

Place = tuple[str, int | None]
"""A task at a length; None where the task has none."""


@dataclass(frozen=True)
class View:
    """One setting's cells that the filters left, for the pages. Everything in it is shared: never change it.

    Attributes:
        record: Where they come from.
        setting: What the cells share: they may be ranked together.
        pool: A row per cell on the chosen tasks and lengths, with the columns of `read_cells` and of
            `incomplete.over_all_samples`: what is ranked together. Which methods and budgets are shown changes nobody's
            rank.
        cells: Those of them that the filters of methods and budgets left.
    """

    record: Record
    setting: Setting
    pool: pd.DataFrame
    cells: pd.DataFrame

    @cached_property
    def places(self) -> list[Place]:
        """Every chosen (task, length), in order."""
        pairs = self.pool[["task", "length"]].drop_duplicates().itertuples(index=False)
        places = [(str(task), None if pd.isna(length) else int(length)) for task, length in pairs]
        return sorted(places, key=lambda place: (place[0], place[1] or 0))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The configurations that the filters left, in the order of their first cells."""
        return tuple(map(str, self.cells["configuration"].unique()))

    @property
    def scores(self) -> pd.DataFrame:
        """What every sample of the pool's cells scored: columns cell, sample, ordinal and score [0, 100]; read anew."""
        return read_sample_scores(self.record.reader, list(self.pool["cell"]))

    def derive(self, function: Callable[..., T], *inputs: Any) -> T:
        """What a pure function gives for (pool, *inputs), computed once for each pool and `inputs`, plain values."""
        return self.record.derive(function, self.setting, self.places, *inputs, inputs=(self.pool, *inputs))

    def keep(self, function: Callable[..., T], *key: Any, inputs: tuple[Any, ...]) -> T:
        """What a pure function gives for `inputs`, which the view and `key` determine, computed once for them."""
        return self.record.derive(function, self.setting, self.places, self.shown, *key, inputs=inputs)


def place_label(place: Place) -> str:
    """A task at a length: "niah_single_1 1280"."""
    return place_title(*place)


def hand_over(view: View) -> None:
    """Give the view to the page that runs next."""
    st.session_state[_KEY] = view


def current_view() -> View:
    """The view of this run of the script; `app.py` has handed it over."""
    view: View = st.session_state[_KEY]
    return view
