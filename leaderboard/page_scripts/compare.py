"""Compare: two configurations over the same samples, down to the answers that flipped."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.answers import show_answers
from lukv_bench.leaderboard.compared import Compared, compare_configurations
from lukv_bench.leaderboard.configurations import at_place, name_configurations
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.pair import Pair, choose_pair
from lukv_bench.leaderboard.tables.pairs import DIRECTIONS, flip_table, place_of, shown_differences
from lukv_bench.leaderboard.view import View, current_view, place_label

MOST_LISTED = 200

NUMBER = st.column_config.NumberColumn
COLUMNS: dict[str, Any] = {
    "task": st.column_config.TextColumn("Task", pinned=True),
    "length": NUMBER("Length", format="%d"),
    "n_samples": NUMBER("Samples", help="Samples that both have a score for."),
    "score_a": NUMBER("Score A", format="%.1f"),
    "score_b": NUMBER("Score B", format="%.1f"),
    "difference": NUMBER("B less A", format="%+.1f"),
    "low": NUMBER("95% low", format="%+.1f"),
    "high": NUMBER("95% high", format="%+.1f"),
    "p": st.column_config.TextColumn(help="Of the sign-flip test, corrected (Holm) for having looked at every task."),
    "won": NUMBER("Won", help="Samples on which B scores more than A."),
    "lost": NUMBER("Lost", help="Samples on which B scores less."),
    "tied": NUMBER("Tied"),
    "samples_needed": NUMBER(
        "Needed", help="Samples over which a difference of this size would be found four times of five."
    ),
    "ordinal": NUMBER("Sample"),
    "sample": None,  # its id is for the file
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Compare")
    st.write("Two configurations over the samples that both answered: what B gains or loses against A.")
    if view.cells.empty:
        show_no_rows()
        return
    names = view.derive(name_configurations)
    pair = choose_pair(view.cells, names)
    compared = compare_configurations(view, pair)
    show_incomplete(view, pair)
    _show_unequal(compared, pair)
    if compared.shared.empty:
        st.info("The two have answered no sample in common yet.")
        return
    _show_differences(compared)
    _show_flips(view, compared, pair, names)


def _show_unequal(compared: Compared, pair: Pair) -> None:
    incomplete = compared.incomplete
    if not incomplete:
        return
    parts = []
    for place in incomplete[:8]:
        rows = at_place(compared.cells, *place)
        n = [int(rows.loc[rows["configuration"] == each, "n"].sum()) for each in pair]
        parts.append(f"{text.markdown(place_label(place))} (A {n[0]} answers, B {n[1]})")
    more = f" and {len(incomplete) - 8} more tasks" if len(incomplete) > 8 else ""
    st.caption(
        f"On {', '.join(parts)}{more} the difference is over the samples that both answered, and the mean over all "
        "tasks leaves it out."
    )


def _show_differences(compared: Compared) -> None:
    st.subheader("The difference")
    st.plotly_chart(compared.figure, key="differences", alt="Difference with its 95% interval for each task")
    st.caption(
        "B less A over the same samples, with 95% intervals. A filled mark is a difference that the sign-flip test "
        "finds after Holm's correction over the tasks; an open one may be chance. Over all tasks, tasks weigh the same."
    )
    shown = shown_differences(compared.table)
    show_table(shown, compared.table, "differences", alt="Paired differences by task", columns=COLUMNS)


def _show_flips(view: View, compared: Compared, pair: Pair, names: dict[str, str]) -> None:
    st.subheader("Samples that flipped")
    flips = flip_table(compared.shared, state.segments("flips", "Which samples", DIRECTIONS))
    if flips.empty:
        st.info("There is none: the two score the same on each of these samples.")
        return
    st.caption(f"{len(flips):,} of the {len(compared.shared):,} samples that both answered.")
    listed = flips.head(MOST_LISTED)
    show_table(listed, flips, "flips", alt="Flipped samples", columns=COLUMNS, height=min(260, 38 + 35 * len(listed)))
    rows = flips.head(MOST_LISTED).to_dict("records")
    number = state.choice("flip", "Read one", range(len(rows)), shown=lambda each: _title(rows[each]))
    flip = rows[number]
    here = at_place(compared.cells, *place_of(flip)).drop_duplicates("configuration").set_index("configuration")["cell"]
    titled = {f"{side}: {names[each]}": str(here[each]) for side, each in zip("AB", pair, strict=True)}
    show_answers(view, str(flip["sample"]), titled)


def _title(flip: Mapping[Any, Any]) -> str:
    return f"{place_label(place_of(flip))}, sample {flip['ordinal']} ({flip['score_a']:.0f} to {flip['score_b']:.0f})"


show(current_view())
