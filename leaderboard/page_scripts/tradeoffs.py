"""Trade-offs: quality against what is kept, and who is on the frontier."""

import pandas as pd
import streamlit as st

from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.ranks import configurations_of, ranks_of
from lukv_bench.leaderboard.tables.ranking import full_score
from lukv_bench.leaderboard.tables.tradeoffs import common_budgets, frontier_table, shown_areas
from lukv_bench.leaderboard.tradeoffs import divergence_figures, frontier, method_areas, panel_figures, shown_points
from lukv_bench.leaderboard.view import View, current_view

X = {"share of bytes": "kept_percent", "bytes": "kept_mib"}
MEASURES = ("score", "KL")
PANELS = {"by scorer": ("scorer", "allocator"), "by allocator": ("allocator", "scorer")}
CAPTIONS = {
    "score": (
        "Bands are 95% intervals of the score; the dashed level is the full cache. A panel's lines share samples, so "
        "bands that overlap may still differ: see Compare."
    ),
    "KL": (
        "KL of the evicted cache's next token from the full cache's, mean over the full cache's answers; tasks weigh "
        "the same; the axis is logarithmic, and a configuration at 0, or that lacks it on an answer, is not drawn. It "
        "tells apart what scores alike, and says nothing about the task."
    ),
}
COLUMNS = {
    "name": "Configuration",
    "score": "Score",
    "interval_low": "95% low",
    "interval_high": "95% high",
    "frontier_low": "Frontier low",
    "frontier_high": "Frontier high",
    "loss_percent": "Loss, %",
    "kept_percent": "Kept, %",
    "kept_mib": "Kept, MiB",
}
AREA_COLUMNS = {
    "Rank": st.column_config.NumberColumn(width=48),
    "Area": st.column_config.NumberColumn(width=58, format="%.1f"),
    "Method": st.column_config.TextColumn(width=219),
    "Loss, %": st.column_config.NumberColumn(format="%.1f"),
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Trade-offs")
    st.caption(text.markdown(view.setting.title))
    if view.cells.empty:
        show_no_rows()
        return
    about = configurations_of(view)
    ranked, _ = ranks_of(view)
    show_incomplete(view, view.shown)
    points = shown_points(view, ranked, about)
    if points.empty:
        st.info("No configuration that evicts has answered every sample of every chosen task yet.")
        return
    with st.container(horizontal=True):
        x = X[state.segments("against", "Quality against", list(X))]
        panel, line = PANELS[state.segments("panels", "Panels", list(PANELS))]
        measures = MEASURES if points["kl_nats"].notna().any() else MEASURES[:1]
        measure = state.segments("measure", "Quality", list(measures))
    full = full_score(ranked, about)
    _show_lines(view, points, x, panel, line, full, measure)
    _show_frontier(view, points, x, full)
    _show_areas(view, about)


def _show_lines(
    view: View, points: pd.DataFrame, x: str, panel: str, line: str, full: float | None, measure: str
) -> None:
    values = sorted(points[panel].unique())
    best = str(points[panel].iloc[0])  # of the configuration that scores most
    chosen = state.some(
        f"{panel}_panels",
        f"Panels of these {panel}s",
        values,
        placeholder=f"{text.line(best)}, the best one's; choose others, or several",
        most=len(values),
    )
    shown = tuple(chosen or [best])
    if measure == "score":
        panels, what = panel_figures(view, points, x, panel, line, full, shown), "Score"
    else:
        panels, what = divergence_figures(view, points, x, panel, line, shown), "KL to the full cache"
    columns = st.columns(2) if len(panels) > 1 else [st.container()]
    for place, (value, figure) in enumerate(panels.items()):
        with columns[place % len(columns)]:
            st.subheader(text.markdown(value))
            st.plotly_chart(figure, key=f"lines-{place}", alt=f"{what} against bytes kept, {panel} {text.line(value)}")
    st.caption(f"A line for each {line}, a panel for each {panel}: {len(panels)} of {len(values)}. {CAPTIONS[measure]}")


def _show_frontier(view: View, points: pd.DataFrame, x: str, full: float | None) -> None:
    st.header("Frontier")
    points, figure = frontier(view, points, x, full)
    st.plotly_chart(figure, key="frontier", alt="Scores of all configurations and the frontier")
    st.caption(
        "No other configuration keeps less and scores as much as one on the frontier. The band is where the score of "
        "the best configuration that keeps no more lies, with 95% confidence at each budget. It reaches further below "
        "the frontier than above: the best of many owes part of its score to luck."
    )
    table = frontier_table(points)
    numbers = {label: st.column_config.NumberColumn(format="%.1f") for label in list(COLUMNS.values())[1:-1]}
    numbers["Kept, MiB"] = st.column_config.NumberColumn(format="%.2f")
    shown = table[list(COLUMNS)].rename(columns=COLUMNS)
    more = {"all configurations": points}
    show_table(shown, table, "frontier", alt="Configurations on the frontier", columns=numbers, more=more)


def _show_areas(view: View, about: pd.DataFrame) -> None:
    st.header("Over all budgets")
    areas, single = method_areas(view, about)
    common = common_budgets(areas)
    over = f"the budgets {', '.join(common)}" if common else "its budgets; methods with other ones are ranked apart"
    st.caption(
        "The area under a method's quality-budget curve: its mean score from the smallest to the largest of "
        f"{text.markdown(over)}. Ranks are shared where the paired test cannot part two. The loss is relative to the "
        "full cache."
    )
    if len(areas):
        shown, alt = shown_areas(areas), "Areas under the quality-budget curves"
        show_table(shown, areas, "areas", alt=alt, columns=AREA_COLUMNS)
    if single or areas.empty:
        names = ", ".join(single) or "all of them"
        st.caption(text.markdown(f"Without an area, since there are not two budgets: {names}."))


show(current_view())
