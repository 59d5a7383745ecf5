"""Budgets: what each layer and head keeps under two configurations, how that changes with the budget, and why."""

import numpy as np
import pandas as pd
import streamlit as st

from lukv_bench.db.frames.mean_counts import MeanCounts, read_mean_counts
from lukv_bench.db.frames.profiles import read_profile_curves
from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.configurations import at_place, budgets_of_method, name_configurations, profiles_of
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.figures.budget_map import budget_map, difference_map
from lukv_bench.leaderboard.figures.budget_shift import budget_shift
from lukv_bench.leaderboard.figures.profile_curves import head_curves, is_curve, layer_curves
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.pair import Pair, choose_pair
from lukv_bench.leaderboard.tables.keep_counts import head_by_head, summarise
from lukv_bench.leaderboard.view import Place, View, current_view, place_label

EVERY_LAYER = "all layers"

SUMMARY_COLUMNS = {
    "configuration": st.column_config.TextColumn("Configuration"),
    "tokens": st.column_config.NumberColumn(
        "Tokens", format="%.0f", help="Mean number of tokens that a head could keep."
    ),
    "kept_per_head": st.column_config.NumberColumn("Kept per head", format="%.0f"),
    "kept_share": st.column_config.NumberColumn("Kept, %", format="%.1f"),
    "least": st.column_config.NumberColumn("Least", format="%.0f", help="Tokens of the head that keeps the fewest."),
    "most": st.column_config.NumberColumn("Most", format="%.0f", help="Tokens of the head that keeps the most."),
    "n_whole_heads": st.column_config.NumberColumn("Whole heads", help="Heads that keep every token."),
    "unevenness": st.column_config.NumberColumn(
        "Unevenness", format="%.2f", help="Gini coefficient over the heads: 0 where all keep the same number of tokens."
    ),
    "n_answers": st.column_config.NumberColumn("Answers"),
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Budgets")
    st.write("How much of the context each layer and KV head keeps: means over the answers to one task.")
    place = state.choice("place", "Task", view.places, shown=place_label)
    cells = at_place(view.cells, *place)
    if cells.empty:
        show_no_rows()
        return
    names = view.derive(name_configurations)
    pair = choose_pair(cells, names)
    show_incomplete(view, pair)
    st.subheader("Layer by head")
    _show_pair(view, place, pair, names)
    st.subheader("From budget to budget")
    _show_shift(view, place, cells, pair.b)
    st.subheader("The profile behind B")
    _show_profiles(view, cells, pair.b)


def _show_pair(view: View, place: Place, pair: Pair, names: dict[str, str]) -> None:
    kept = [view.record.read(read_mean_counts, each, *place) for each in pair]
    a, b = kept
    if a is None or b is None:
        lacking = " and ".join(side for side, counts in zip("AB", kept, strict=True) if counts is None)
        st.info(f"No answer of {lacking} to this task has keep counts in this database.")
        return
    summary = summarise(
        {f"{side}: {names[each]}": counts for side, each, counts in zip("AB", pair, (a, b), strict=True)}
    )
    maps = {} if a.counts.shape != b.counts.shape else {"head by head": head_by_head(a.counts, b.counts)}
    show_table(summary, summary, "budgets", alt="What the two keep", columns=SUMMARY_COLUMNS, more=maps)
    if a.counts.shape != b.counts.shape:
        st.warning("The two differ in their numbers of layers or heads, so no map can show them side by side.")
        return
    _show_maps(a, b)
    st.caption(
        "Percent of the tokens that each head keeps. A and B share one colour scale; on the right, orange heads keep "
        "more under B, blue ones less, in percentage points."
    )


def _show_maps(a: MeanCounts, b: MeanCounts) -> None:
    shares = [100 * each.counts / each.tokens for each in (a, b)]
    most = float(np.nanmax(shares, initial=0.0))
    figures = {
        "A": budget_map(shares[0], most),
        "B": budget_map(shares[1], most),
        "B less A": difference_map(*shares),
    }
    for column, (title, figure) in zip(st.columns(3), figures.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            st.plotly_chart(figure, alt=f"Share kept by layer and head: {title}", key=f"map {title}")


def _show_shift(view: View, place: Place, cells: pd.DataFrame, configuration: str) -> None:
    budgets = budgets_of_method(cells, configuration)
    kept = {budget: view.record.read(read_mean_counts, each, *place) for budget, each in budgets.items()}
    counts = {budget: each.counts for budget, each in kept.items() if each is not None}
    if len(counts) < 2 or len({each.shape for each in counts.values()}) > 1:
        st.info("This needs keep counts of configuration B's method at two budgets or more.")
        return
    st.plotly_chart(budget_shift(counts), alt="Share of each layer by budget", key="shift")
    st.caption(
        "What the heads of a layer keep beside an equal share of the budget, for B's allocator and scorer at every "
        "budget in this database. Orange layers are given more than their part, blue ones less."
    )


def _show_profiles(view: View, cells: pd.DataFrame, configuration: str) -> None:
    profiles = profiles_of(cells, configuration)
    if not profiles:
        st.info("Configuration B uses no profile: its allocator and scorer were not fitted to the model.")
        return
    role = state.choice("profile", "Profile of the", list(profiles)) if len(profiles) > 1 else next(iter(profiles))
    profile = view.record.read(read_profile_curves, profiles[role])
    curves = {} if profile is None else {name: each for name, each in profile.arrays.items() if is_curve(each)}
    if not curves:
        st.info("The database keeps no curves of this profile.")
        return
    curve = curves[state.choice("curve", "Curve", list(curves))] if len(curves) > 1 else next(iter(curves.values()))
    layer = state.choice("layer", "Layers", [EVERY_LAYER, *map(str, range(curve.shape[1]))])
    figure = layer_curves(curve) if layer == EVERY_LAYER else head_curves(curve, int(layer))
    st.plotly_chart(figure, alt="Share kept by layer against the share pruned", key="curves")
    scorer = "any scorer" if profile is None or profile.scorer is None else f"scorer {text.markdown(profile.scorer)}"
    st.caption(
        f"Profile {text.markdown(profiles[role][:12])}, fitted for {scorer}: the share of its evictable tokens that "
        "each layer (the mean of its heads) or head keeps when a given share is pruned from the whole model. The "
        "dashed line is an equal share for all."
    )


show(current_view())
