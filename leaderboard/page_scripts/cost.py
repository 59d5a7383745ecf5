"""Cost: what configurations take on one machine, ranked by what was measured of each alone."""

import pandas as pd
import streamlit as st

from lukv_bench.db.frames.costs import read_cost_frame
from lukv_bench.db.frames.pages import read_method_pages
from lukv_bench.leaderboard import definitions, state, text
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.figures.costs import AXES, cost_figure
from lukv_bench.leaderboard.record import Record, current_record
from lukv_bench.leaderboard.short_labels import with_short_methods
from lukv_bench.leaderboard.tables.costs import ORDERS, at_conditions, cost_table, failed, newest
from lukv_bench.leaderboard.theme import styles
from lukv_bench.leaderboard.view import Place, place_label

COMMAND = "lukv-bench run --cost --allocator lukv --scorer keydiff"
COLUMNS = {
    "rank": ("Rank", "%d"),
    "name": ("Configuration", None),
    "tpot_s": ("Seconds per token", "%.4f"),
    "tpot_s_q1": ("its quartile", "%.4f"),
    "tpot_s_q3": ("and upper", "%.4f"),
    "ttft_s": ("To first token, s", "%.3f"),
    "prefill_s": ("Prefill, s", "%.3f"),
    "evict_s": ("Evict, s", "%.4f"),
    "tokens_per_s": ("Tokens/s", "%.1f"),
    "batch_tokens_per_s": ("Tokens/s in batch", "%.1f"),
    "batch_rows": ("Rows", "%d"),
    "kept_mib": ("KV kept, MiB", "%.2f"),
    "peak_mib": ("Peak, MiB", "%.1f"),
    "footprint": ("Footprint", "%.3f"),
    "energy_j": ("Energy, J", "%.0f"),
    "score": ("Score", "%.1f"),
}
UNKNOWN = "unknown machine"
OPTIONAL = ("batch_tokens_per_s", "batch_rows", "energy_j", "score")
"""Columns that are shown where a row has them."""


def show(record: Record) -> None:
    """Draw the page."""
    st.title("Cost")
    costs = with_short_methods(record.read(read_cost_frame), record.read(read_method_pages))
    costs = costs.assign(machine=costs["machine"].fillna(UNKNOWN))
    if costs.empty:
        st.info("Nothing was measured yet. Accuracy runs share their work among configurations and rank no seconds.")
        st.code(COMMAND, language="shell")
        return
    chosen = _chosen(costs)
    rows = newest(chosen)
    st.markdown(definitions.COST)
    if rows.empty:
        st.info("None of these measurements is done.")
    else:
        _show_ranking(rows)
        _show_quality(rows)
    _show_rest(chosen, rows)


def _chosen(costs: pd.DataFrame) -> pd.DataFrame:
    """The measurements under the conditions that the visitor chose: seconds of two machines are never mixed."""
    setting = state.choice("cost_setting", "Setting of the measurements", _values(costs, "setting"))
    costs = costs[costs["setting"] == setting]
    with st.container(horizontal=True):
        machine = state.choice("machine", "Machine", _values(costs, "machine"))
        costs = costs[costs["machine"] == machine]
        place = state.choice("measured", "Task and length", _places(costs), shown=place_label)
        costs = at_conditions(costs, setting, machine, place)
        n_tokens = state.choice("tokens", "Tokens decoded", sorted(costs["n_new_tokens"].unique()))
    chosen: pd.DataFrame = costs[costs["n_new_tokens"] == n_tokens]
    return chosen


def _values(costs: pd.DataFrame, column: str) -> list[str]:
    """The values of a column, those of most measurements first."""
    return [str(value) for value in costs[column].value_counts(sort=True).index]


def _places(costs: pd.DataFrame) -> list[Place]:
    pairs = costs[["task", "length"]].drop_duplicates().itertuples(index=False)
    places = [(str(task), None if pd.isna(length) else int(length)) for task, length in pairs]
    return sorted(places, key=lambda place: (place[0], place[1] or 0))


def _show_ranking(rows: pd.DataFrame) -> None:
    order = state.segments("cost_order", "Ranked by", list(ORDERS))
    table = cost_table(rows, order)
    columns = {name: titles for name, titles in COLUMNS.items() if name not in OPTIONAL or table[name].notna().any()}
    shown = table[list(columns)].rename(columns={name: title for name, (title, _) in columns.items()})
    numbers = {
        title: st.column_config.NumberColumn(format=form) for title, form in columns.values() if form is not None
    }
    numbers["Configuration"] = st.column_config.TextColumn(width=272)
    show_table(shown, _saved(table), "cost", alt=f"Configurations by {order}, cheapest first", columns=numbers)
    st.caption(
        "A rank is one more than the number of rows that are certainly cheaper: their upper quartile lies below the "
        "row's lower one. `results --cost --json` has every repeat."
    )


def _saved(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["spec", "allocator_args", "scorer_args"])


def _show_quality(rows: pd.DataFrame) -> None:
    scored = cost_table(rows, next(iter(ORDERS))).dropna(subset=["score"])
    st.header("Quality against cost")
    if scored.empty:
        st.info("No score of these configurations on this task is complete; the same command without --cost makes it.")
        return
    against = state.segments("cost_against", "Quality against", list(AXES))
    figure = cost_figure(scored, against, styles(scored["allocator"]))
    st.plotly_chart(figure, key="quality-cost", alt=f"Score against {against}, a point per configuration")
    st.caption("A point per configuration that was both measured and scored; lines are quartiles of its seconds.")


def _show_rest(chosen: pd.DataFrame, rows: pd.DataFrame) -> None:
    n_older = int((chosen["status"] == "done").sum()) - len(rows)
    if n_older:
        st.caption(f"{n_older} older measurements of the same, under other packages or limits, are left out.")
    broken = failed(chosen)
    if len(broken):
        st.header("Not measured")
        titles = {"method": "Method", "budget": "Budget", "error": "Reason"}
        show_table(broken.rename(columns=titles), broken, "not-measured", alt="Measurements that failed")
    machine = chosen.iloc[0]
    st.caption(
        text.markdown(f"Measured on {machine['machine']} ({machine['device']}), seconds by {machine['clock'] or '-'}.")
    )


show(current_record())
