"""Tasks: which configuration is good at what, down to single samples."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from lukv_bench.db.facets import read_facets
from lukv_bench.db.frames.sample_scores import read_sample_scores
from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.configurations import at_place
from lukv_bench.leaderboard.downloads import show_download, show_table
from lukv_bench.leaderboard.figures.tasks import score_map
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.links import show_link
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.ranks import configurations_of
from lukv_bench.leaderboard.tables.tasks import facet_table, sample_table, score_table, task_table
from lukv_bench.leaderboard.view import View, current_view, place_label

MOST_ROWS = 200
MOST_FACETS, MOST_VALUES = 6, 12
"""That are shown."""

MAP, PLACE, CHOSEN = "tasks", "place", "of"  # keys of what is clicked, and of what a click chooses
COLUMNS = {
    "name": "Configuration",
    "score": "Score",
    "interval_low": "95% low",
    "interval_high": "95% high",
    "loss_percent": "Loss, %",
    "kept_percent": "Kept, %",
    "status": "Status",
    "n": "Answers",
    "samples_asked": "Samples",
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Tasks")
    st.caption(text.markdown(view.setting.title))
    if view.cells.empty:
        show_no_rows()
        return
    about = configurations_of(view)
    show_incomplete(view, view.shown)
    n_rows = _show_map(view, about)
    _show_task(view, about, n_rows)


def _show_map(view: View, about: pd.DataFrame) -> int:
    table = score_table(view.cells[~view.cells["is_oracle"]])
    n_rows = state.number("rows", "Configurations shown", least=5, most=MOST_ROWS, default=30)
    shown = table.head(n_rows)
    st.plotly_chart(
        score_map(shown.set_axis(about.loc[shown.index, "name"], axis=0), "task", clickable=True),
        key=MAP,
        alt="Heat map of scores by configuration and task; the lists below it choose without a mouse",
        on_select=lambda: _choose(shown, about),
        selection_mode="points",
    )
    st.caption(
        f"The best {len(shown)} of {len(table)} configurations by their mean over these tasks. Click a field to see "
        "its task below. An empty field has not answered every sample; configurations that lack a task come last."
    )
    show_download(table.set_axis(about.loc[table.index, "name"], axis=0).reset_index(), "tasks")
    return n_rows


def _choose(shown: pd.DataFrame, about: pd.DataFrame) -> None:
    """Look at the field that was clicked."""
    points = st.session_state[MAP]["selection"]["points"]
    if points:
        row, column, _ = points[0]["customdata"]
        state.choose(PLACE, shown.columns[column])
        state.choose(CHOSEN, about.at[shown.index[row], "name"])


def _show_task(view: View, about: pd.DataFrame, n_rows: int) -> None:
    st.header("One task")
    place = state.choice(PLACE, "Task and length", view.places, shown=place_label)
    cells = at_place(view.cells, *place)
    if cells.empty:
        show_no_rows()
        return
    table = task_table(cells, about)
    numbers = {label: st.column_config.NumberColumn(format="%.1f", width=64) for label in list(COLUMNS.values())[1:6]}
    numbers["Configuration"] = st.column_config.TextColumn(width=272)
    shown = table[list(COLUMNS)].rename(columns=COLUMNS)
    show_table(shown, table, "task", alt=f"Configurations on {text.line(place[0])}, best first", columns=numbers)
    options = list(table["configuration"])
    chosen = state.choice(CHOSEN, "Configuration", options, shown=lambda each: about.at[each, "name"])
    name = text.line(about.at[chosen, "name"])
    with st.container(horizontal=True):
        label = "Its samples of this task"
        show_link("samples", label, "Prompts, answers and references", place=place_label(place), samples_of=name)
        show_link("compare", "Compare it", "Differences to another configuration", b=name)
    shown = table.head(n_rows)
    scores = view.record.read(read_sample_scores, list(shown["cell"]))
    _show_facets(view, about, shown, scores)
    _show_samples(about, shown, scores)


def _show_facets(view: View, about: pd.DataFrame, cells: pd.DataFrame, scores: pd.DataFrame) -> None:
    """A map for each facet that groups the task's samples, such as the kind of a question."""
    facets = view.record.read(read_facets, sorted(set(scores["sample"])))
    grouping = [(name, values) for name, values in sorted(facets.items()) if groups(values)]
    for number, (name, values) in enumerate(grouping[:MOST_FACETS]):
        table = facet_table(scores, cells, about, values)
        st.subheader(f"By {text.markdown(name)}")
        st.plotly_chart(
            score_map(table, text.plotly(name, 40)),
            key=f"by-{number}",
            alt=f"Heat map of scores by configuration and {text.line(name)}",
        )
        st.caption("Means over the samples of each group. What the full cache does not answer, no eviction can lose.")
        show_download(table.reset_index(names="configuration", allow_duplicates=True), f"kinds-{number + 1}")


def groups(values: Mapping[str, str]) -> bool:
    """Whether a facet groups samples, and does not merely name each: some value is that of several."""
    return 2 <= len(set(values.values())) <= min(MOST_VALUES, len(values) - 1)


def _show_samples(about: pd.DataFrame, cells: pd.DataFrame, own: pd.DataFrame) -> None:
    st.subheader("Sample by sample")
    scores = sample_table(own, cells, about)
    if scores.empty:
        st.info("No sample of this task has a score yet.")
        return
    st.plotly_chart(
        score_map(scores, "sample"),
        key="samples",
        alt="Heat map of scores by configuration and sample",
    )
    st.caption("Every sample of the task, from the first; the same column is the same question for all configurations.")


show(current_view())
