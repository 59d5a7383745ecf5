"""Leaderboard: the configurations of one setting, ranked over the chosen tasks."""

import pandas as pd
import streamlit as st

from lukv_bench.db.frames.commands import read_commands
from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.downloads import show_short_table, show_table
from lukv_bench.leaderboard.links import show_link
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.ranks import configurations_of, ranks_of
from lukv_bench.leaderboard.tables import ranking as tables
from lukv_bench.leaderboard.view import View, current_view, place_label

CHOSEN = "configuration"  # the key of the one that is looked at

FIDELITY = "Fidelity"
SEGMENTS = ("Score and loss", FIDELITY)

COLUMNS = {
    "Rank": st.column_config.NumberColumn(
        width=48, help="Shared where the paired test cannot part two configurations, see below."
    ),
    "Score": st.column_config.NumberColumn(
        width=58, format="%.1f", help="Mean over the tasks, each of which is a mean over its samples; 0 to 100."
    ),
    "Budget": st.column_config.TextColumn(width=82, help="Share of the context pruned, or tokens kept per head."),
    "Method": st.column_config.TextColumn(width=219, help="Allocator x scorer, as one types them."),
    "95% interval": st.column_config.TextColumn(width=94, help="Of the score, over other samples of these tasks."),
    "Loss, %": st.column_config.NumberColumn(
        width=66, format="%.1f", help="What is lost of the full cache's score, in percent of it."
    ),
    "95% of loss": st.column_config.TextColumn(width=97, help="95% interval of the loss, over the same samples."),
    "Kept, MiB": st.column_config.NumberColumn(width=76, format="%.2f", help="Bytes of the cache that are kept."),
    "KL, nats": st.column_config.NumberColumn(
        width=70,
        format="%.4f",
        help="Of the evicted cache's next token from the full cache's, mean over the full answers; 0 = the same.",
    ),
    "Same token, %": st.column_config.NumberColumn(
        width=98, format="%.1f", help="On how many tokens of the full cache's answers both choose the same."
    ),
    "Of oracle, %": st.column_config.NumberColumn(
        width=76,
        format="%.0f",
        help="The share of the way from the floor (uniform x streaming_llm) to oracle x oracle, see Evidence.",
    ),
    "Places": st.column_config.TextColumn(
        width=68, help="The places that the comparisons leave open, for all configurations at once, at 95%."
    ),
}

HOW_RANKS = """
The score is the mean over tasks of the mean over samples: tasks weigh the same, whatever their numbers of samples.

Every pair of configurations is compared over the same samples by a sign-flip test, and Holm's correction over all pairs
keeps the chance of a single false difference below 5%. Going down the scores, a configuration opens a new rank when it
differs from any that holds the rank above, and shares that rank otherwise. *Places* says which places the same
comparisons leave open.

Only configurations with an answer to every sample of every chosen task are ranked; the others stand in a table of their
own and are averaged nowhere. Oracles, which have read what the answer attends to, are not ranked at all: the page
Evidence shows them. Filters of allocators, scorers and budgets hide rows and change no rank.
"""


def show(view: View) -> None:
    """Draw the page."""
    st.title("Leaderboard")
    st.caption(text.markdown(view.setting.title))
    if view.pool.empty or view.cells.empty:
        show_no_rows()
        return
    about = configurations_of(view)
    ranked, incomplete = ranks_of(view)
    table = tables.ranking_table(ranked, about)
    shown = set(view.cells["configuration"])
    _show_ranked(view, table, table[table["configuration"].isin(shown)].reset_index(drop=True), about)
    _show_incomplete(incomplete[incomplete["configuration"].isin(shown)], about)
    _show_seconds(view, about)
    _show_configuration(view, about, table["configuration"])


def _show_ranked(view: View, whole: pd.DataFrame, table: pd.DataFrame, about: pd.DataFrame) -> None:
    st.markdown(summary(view, len(whole), len(table)))
    if whole.empty:
        st.info("No configuration has answered every sample of every chosen task yet; choose fewer tasks, or wait.")
        return
    _show_best(tables.best_by_budget(table))
    st.subheader("All configurations")
    st.caption("Tick a row to see its results by task, and the command that reproduces it, below the tables.")
    asked = state.segments("columns", "Columns", SEGMENTS) if tables.has_fidelity(table) else None
    columns = tables.FIDELITY_COLUMNS if asked == FIDELITY else tables.SCORE_COLUMNS
    show_table(
        tables.shown_ranking(table, columns),
        table,
        "ranking",
        alt="Configurations by rank. The list below the tables chooses one without a mouse.",
        columns=COLUMNS,
        on_select=lambda: _choose(table, about),
    )
    with st.expander("How the ranks are made"):
        st.markdown(HOW_RANKS)


def summary(view: View, n_ranked: int, n_shown: int) -> str:
    """What is ranked, in a sentence."""
    places = [text.markdown(place_label(place)) for place in view.places]
    named = ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")
    over = f"{len(places)} tasks" if len(places) > 1 else "one task"
    hidden = f" {n_shown} of them are shown." if n_shown != n_ranked else ""
    return (
        f"**{n_ranked}** ways to keep less of a model's KV cache, ranked by score (0 to 100, more is better) over "
        f"{over}: {named}.{hidden}"
    )


def _show_best(best: pd.DataFrame) -> None:
    """The first answer that a reader looks for: what to take at a budget."""
    if best.empty:
        return
    st.subheader("Best at each budget")
    names = [
        f"{method}, {details}" if details else str(method)
        for method, details in best[["method", "details"]].to_numpy().tolist()
    ]
    shown = {
        "Budget": best["budget"],
        "Method": names,
        "Score": [f"{score:.1f}" for score in best["score"]],
        "Same rank": [f"{n} of {others}" for n, others in zip(best["n_sharing"], best["n_others"], strict=True)],
    }
    st.caption(
        "*prune 0.8*: 80% of the context is evicted. *Same rank*: how many others at this budget the paired test "
        "cannot part from the best; with few samples, many."
    )
    show_short_table(pd.DataFrame(shown), best, "best", alt="The best method at each budget")


def _choose(table: pd.DataFrame, about: pd.DataFrame) -> None:
    """Look at the configuration of the row that was clicked."""
    rows = st.session_state["table-ranking"]["selection"]["rows"]
    if rows and rows[0] < len(table):
        state.choose(CHOSEN, about.at[table["configuration"].iloc[rows[0]], "name"])


def _show_incomplete(incomplete: pd.DataFrame, about: pd.DataFrame) -> None:
    if incomplete.empty:
        return
    st.header("Incomplete")
    st.write("These lack answers on some of the chosen tasks, and so are neither averaged nor ranked.")
    table = tables.incomplete_table(incomplete, about)
    labels = {"method": "Method", "budget": "Budget", "details": "Details", "missing": "Missing"}
    labels |= {"n_complete": "Tasks complete", "n_tasks": "Tasks"}
    shown = table[list(labels)].rename(columns=labels)
    show_table(shown, table, "incomplete", alt="Incomplete configurations")


def _show_seconds(view: View, about: pd.DataFrame) -> None:
    table = tables.seconds_table(view.cells, about)
    if table.empty:
        return
    with st.expander("Indicative seconds"):
        st.write(
            "Means over the timed answers of one machine. An accuracy run shares one prefill among many "
            "configurations, so these say what to expect, not who is faster: they are never ranked."
        )
        labels = {"method": "Method", "budget": "Budget", "prefill_s": "Prefill, s", "evict_s": "Evict, s"}
        labels |= {"ttft_s": "First token, s", "tpot_s": "Each further token, s", "machine": "Machine"}
        digits = {name: st.column_config.NumberColumn(format="%.3f") for name in labels.values() if "," in name}
        shown = table[list(labels)].rename(columns=labels)
        show_table(shown, table, "seconds", alt="Indicative seconds by configuration", columns=digits)


def _show_configuration(view: View, about: pd.DataFrame, ranked: "pd.Series[str]") -> None:
    st.header("One configuration")
    kept = set(view.cells["configuration"])
    options = [each for each in dict.fromkeys([*ranked, *about.index]) if each in kept]
    chosen = state.optional_choice(
        CHOSEN,
        "Configuration",
        options,
        shown=lambda each: about.at[each, "name"],
        placeholder="Choose one here, or tick its row in the table above",
    )
    if chosen is None:
        st.caption("Its results by task, and the command that reproduces them, appear here.")
        return
    cells = tables.configuration_cells(view.pool, chosen)
    labels = {"task": "Task", "length": "Length", "status": "Status", "n": "Answers", "samples_asked": "Samples"}
    labels |= {"score": "Score", "interval_low": "95% low", "interval_high": "95% high"}
    digits = {name: st.column_config.NumberColumn(format="%.1f") for name in ("Score", "95% low", "95% high")}
    shown = cells[list(labels)].rename(columns=labels)
    show_table(shown, cells, "results", alt="The chosen configuration's results by task", columns=digits)
    st.subheader("Reproduce it")
    commands = set(view.record.read(read_commands, list(cells["cell"])).values())
    if commands:
        st.code(text.block("\n".join(sorted(commands))), language=None, wrap_lines=True)
    else:
        st.info("No answer says which run gave it, so the command is not known.")
    name = text.line(about.at[chosen, "name"])
    with st.container(horizontal=True):
        show_link("samples", "Its samples", "Prompts, answers and references", samples_of=name)
        show_link("compare", "Compare it", "Differences to another configuration", b=name)


show(current_view())
