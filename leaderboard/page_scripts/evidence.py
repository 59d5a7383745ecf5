"""Evidence: was the place of the answer evicted, or was the answer copied wrongly?"""

import pandas as pd
import streamlit as st

from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.ceilings import cell_shares
from lukv_bench.leaderboard.configurations import at_place
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.figures.ceilings import ceiling_figure
from lukv_bench.leaderboard.figures.evidence import evidence_figure, outcome_figure
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.ranks import configurations_of
from lukv_bench.leaderboard.tables.ceilings import ceiling_cells, ceiling_table
from lukv_bench.leaderboard.tables.evidence import evidence_cells, evidence_points, outcome_table
from lukv_bench.leaderboard.theme import styles
from lukv_bench.leaderboard.view import Place, View, current_view, place_label

COLUMNS = {
    "task": ("Task", None),
    "length": ("Length", None),
    "budget": ("Budget", None),
    "configurations": ("Configurations", "%d"),
    "n": ("Answers", "%d"),
    "found": ("Found, %", "%.1f"),
    "miscopied": ("Miscopied, %", "%.1f"),
    "missed": ("Missed, %", "%.1f"),
    "kept_percent": ("Evidence kept, %", "%.1f"),
}


WITHOUT_EVIDENCE = (
    "No answer shown here says where its evidence stands. Answers to needles, variable tracking and questions on "
    "documents do, from the version on that records it; the same run with --redo gives them anew."
)
CEILING_COLUMNS = {
    "name": ("Configuration", None),
    "kind": ("Kind", None),
    "score": ("Score", "%.1f"),
    "share_of_oracle": ("Of oracle, %", "%.0f"),
    "interval_low": ("95% low", "%.1f"),
    "interval_high": ("95% high", "%.1f"),
    "kept_percent": ("Kept, %", "%.1f"),
}


def show(view: View) -> None:
    """Draw the page, section by section; other measures of why an answer was lost get a section of their own."""
    st.title("Evidence")
    st.caption(text.markdown(view.setting.title))
    if view.cells.empty:
        show_no_rows()
        return
    show_incomplete(view, view.shown)
    cells, between = evidence_cells(view.cells), ceiling_cells(view.cells)
    if cells.empty and between.empty:
        st.info(WITHOUT_EVIDENCE)
        return
    place, about = _choose_place(pd.concat([cells, between])), configurations_of(view)
    if cells.empty:
        st.info(WITHOUT_EVIDENCE)
    else:
        _show_kept(at_place(cells, *place), about)
        _show_outcomes(cells, place)
    _show_ceilings(ceiling_table(at_place(between, *place), about, cell_shares(view)))


def _choose_place(cells: pd.DataFrame) -> Place:
    pairs = cells[["task", "length"]].drop_duplicates().itertuples(index=False)
    places = [(str(task), None if pd.isna(length) else int(length)) for task, length in pairs]
    places.sort(key=lambda place: (place[0], place[1] or 0))
    return state.choice("place", "Task and length", places, shown=place_label)


def _show_kept(cells: pd.DataFrame, about: pd.DataFrame) -> None:
    st.header("Evidence kept and score")
    points = evidence_points(cells, about)
    if points.empty:
        st.info("No answer of this task shown here says where its evidence stands.")
        return
    figure = evidence_figure(points, styles(points["allocator"].astype(str)))
    st.plotly_chart(figure, key="evidence", alt="Score against the share of the evidence kept, a point a configuration")
    st.caption(
        "A point per configuration. Evidence kept: the share of the tokens that the answer stands in which a head "
        "keeps, mean over layers, heads and answers. A point far right and low kept the answer and did not use it."
    )


def _show_outcomes(cells: pd.DataFrame, place: Place) -> None:
    st.header("Found, miscopied, missed")
    table = outcome_table(cells)
    own = at_place(table, *place)
    if own.empty:
        st.info("Answers of this task are not copied from the context, so none is found, miscopied or missed.")
    else:
        st.plotly_chart(outcome_figure(own), key="outcomes", alt="Answers found, miscopied and missed, a bar a budget")
    if table.empty:
        return
    st.caption(
        "Answers that are to be copied from the context, of all configurations shown that have the budget. Miscopied: "
        "not found, but at least half of the characters are right. The table has every task."
    )
    shown = table[list(COLUMNS)].rename(columns={name: title for name, (title, _) in COLUMNS.items()})
    numbers = {title: st.column_config.NumberColumn(format=form) for title, form in COLUMNS.values() if form}
    show_table(shown, table, "outcomes", alt="Answers found, miscopied and missed by task and budget", columns=numbers)


def _show_ceilings(table: pd.DataFrame) -> None:
    st.header("Floors and ceilings")
    if table.empty:
        st.info(
            "No floor and no oracle was run on this task; `run --floors --oracles` puts them beside every method at "
            "every budget."
        )
        return
    alt = "Score against bytes kept: floors, oracles, the best method at each budget and the others"
    st.plotly_chart(ceiling_figure(table), key="ceilings", alt=alt)
    st.caption(
        "A floor keeps the first and the last tokens, or tokens by chance. An oracle has read what the reference "
        "answer attends to, which no cache could know: it is a reference and ranked nowhere. *Of oracle*: the share of "
        "the way from uniform x streaming_llm to oracle x oracle at the same budget; empty where one of them is "
        "missing, or where that oracle does not score more than the floor."
    )
    shown = table[list(CEILING_COLUMNS)].rename(columns={name: title for name, (title, _) in CEILING_COLUMNS.items()})
    numbers = {title: st.column_config.NumberColumn(format=form) for title, form in CEILING_COLUMNS.values() if form}
    show_table(shown, table, "ceilings", alt="Floors, oracles and methods with their scores", columns=numbers)


show(current_view())
