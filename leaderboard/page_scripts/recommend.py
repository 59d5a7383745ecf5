"""Recommend: which method to take for a context length and a memory, and how sure that is."""

import pandas as pd
import streamlit as st

from lukv_bench import UserError
from lukv_bench.db.advice import NOTE, deciding_run, decision, heading, remarks
from lukv_bench.db.frames.cache_sizes import StoredSizes
from lukv_bench.db.need import Need, memory_bytes, percent
from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.ranks import configurations_of
from lukv_bench.leaderboard.recommended import Shown, recommended, sizes_of
from lukv_bench.leaderboard.tables.recommended import recommended_table, shown_recommended
from lukv_bench.leaderboard.view import View, current_view

USUAL_QUALITY = "98%"
USUAL_LENGTH = 8192
MOST_POSITIONS = 10**9 - 1  # where the record does not say how many tokens a model can hold

NUMBER, TEXT = st.column_config.NumberColumn, st.column_config.TextColumn
COLUMNS = {
    "Standing": TEXT(help="met, met so far or not met: see below the table."),
    "Quality, %": NUMBER(format="%.1f", help="Percent of the full cache's score over the same samples."),
    "95% interval": TEXT(help="Of the quality, over other samples of these tasks."),
    "KV, MiB": NUMBER(format="%.2f", help="Keys and values that one sequence keeps of its context."),
    "Samples": NUMBER(help="That quality and standing rest on."),
    "Needed": NUMBER(help="Samples that would show whether the target is met, if those to come are like these."),
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Recommend")
    st.write(
        "Which method and budget to take of what was run: those that fit a memory, the ones that keep enough of the "
        "full cache's score first. The setting beside says of which model, the tasks chosen there which tasks matter."
    )
    if view.cells.empty:
        show_no_rows()
        return
    stored = sizes_of(view)
    if isinstance(stored, str):
        st.info(text.markdown(stored))
        return
    need = _chosen(view, stored)
    if need is None:
        return
    show_incomplete(view, view.shown)
    found = recommended(view, stored.sizes, need)
    if not found:
        st.info(
            "No complete results stand beside those of the full cache on the same samples; "
            "`lukv-bench run` without `--no-baselines` makes both."
        )
    for number, each in enumerate(found):
        _show_candidates(view, each, need, f"recommended-{number + 1}" if number else "recommended")
    st.caption(text.markdown(NOTE, text.MOST_IN_BLOCK))


def _chosen(view: View, stored: StoredSizes) -> Need | None:
    """What the visitor asks for; None where it makes no sense, which is said."""
    most = stored.max_positions or MOST_POSITIONS
    lengths = view.pool["length"].dropna()
    usual = USUAL_LENGTH if lengths.empty else int(lengths.max())
    with st.container(horizontal=True):
        n_tokens = state.number(
            "context", "Context length", least=1, most=most, default=min(max(usual, 1), most), help="In tokens."
        )
        memory = state.text(
            "memory",
            "Memory",
            placeholder="half of the full cache",
            help="For the keys and values that one sequence keeps of its context, such as 2GiB or 512MiB; a number "
            "alone is GiB.",
        )
        quality = state.text(
            "quality", "Quality to keep", placeholder=USUAL_QUALITY, help="Percent of the full cache's score."
        )
    if stored.measured_at is not None:
        st.caption(
            "These results do not say how large the model's sliding windows are: what they held of "
            f"{stored.measured_at:,} tokens is taken for {n_tokens:,}, too. The next run notes it."
        )
    try:
        share = float(percent("Quality to keep", quality or USUAL_QUALITY))
        n_bytes = memory_bytes("Memory", memory) if memory else stored.sizes.full_bytes(n_tokens) // 2
    except UserError as error:
        st.warning(text.markdown(str(error)))
        return None
    return Need(view.setting.model, n_tokens, n_bytes, share)


def _show_candidates(view: View, shown: Shown, need: Need, name: str) -> None:
    found = shown.found
    st.subheader(heading(found, need))
    if shown.n_hidden and not found.rows:
        st.info(f"The filters hide all {shown.n_hidden} that fit; take one of them away.")
        return
    told = [*decision(found, need)]
    st.markdown(f"**{text.markdown(told[0], text.MOST_IN_BLOCK)}**")
    for line in told[1:]:
        st.write(text.markdown(line))
    if command := deciding_run(found, need):
        st.code(text.block(command), language=None, wrap_lines=True)
    if found.rows:
        _show_table(recommended_table(found.rows, configurations_of(view)), name)
    hidden = [f"{shown.n_hidden} more that fit are hidden by the filters."] if shown.n_hidden else []
    st.caption(text.markdown(" ".join([*hidden, *remarks(found, need)]), text.MOST_IN_BLOCK))


def _show_table(table: pd.DataFrame, name: str) -> None:
    show_table(shown_recommended(table), table, name, alt="What fits, and what it keeps of the score", columns=COLUMNS)


show(current_view())
