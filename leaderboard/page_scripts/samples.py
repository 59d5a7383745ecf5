"""Samples: what was asked, what counts as right, and what configurations answered."""

import shlex
from typing import Any

import pandas as pd
import streamlit as st

from lukv_bench.db.frames.prompts import read_prompt
from lukv_bench.db.frames.search import search_samples
from lukv_bench.leaderboard import state, text
from lukv_bench.leaderboard.answers import show_answers
from lukv_bench.leaderboard.configurations import at_place, name_configurations, usual_pair
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.notices import show_no_rows
from lukv_bench.leaderboard.tables.samples import sample_table, sample_title
from lukv_bench.leaderboard.view import Place, View, current_view, place_label

ON_A_PAGE = 50
MOST_SHOWN = 6

COLUMNS: dict[str, Any] = {
    "ordinal": st.column_config.NumberColumn("Sample", pinned=True),
    "length": st.column_config.NumberColumn("Length", format="%d"),
    "n_answers": st.column_config.NumberColumn("Answers", help="Of all configurations of this setting."),
    "score": st.column_config.NumberColumn("Mean score", format="%.1f", help="Over those answers."),
    "references": st.column_config.TextColumn("Reference"),
    "facets": st.column_config.TextColumn("Facets", help="What the task says of the sample."),
    "sample": None,  # its id is for the file
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("Samples")
    st.write("Single questions: what counts as right, and what each configuration answered.")
    place = state.choice("place", "Task", view.places, shown=place_label)
    cells = at_place(view.cells, *place)
    if cells.empty:
        show_no_rows()
        return
    rows = _show_list(view, place)
    if rows.empty:
        return
    st.subheader("One sample")
    records = rows.to_dict("records")
    number = state.choice("sample", "Sample", range(len(records)), shown=lambda each: sample_title(records[each]))
    sample = str(records[number]["sample"])
    _show_one(view, cells, sample)
    with st.expander("The prompt"):
        _show_prompt(view.record.read(read_prompt, sample), place, int(str(records[number]["ordinal"])))


def _show_list(view: View, place: Place) -> pd.DataFrame:
    """The page of samples that the visitor looks at."""
    left, right = st.columns([3, 1])
    with left:
        word = state.text("search", "Search answers and references", placeholder="a word or a number")
    task, length = place
    with right:
        page = state.number("page", "Page", least=1, most=100_000, default=1, help=f"{ON_A_PAGE} samples each.")
    offset = ON_A_PAGE * (page - 1)
    found = view.record.read(search_samples, view.setting, task, word, ON_A_PAGE, offset, length)
    n_pages = -(-found.n_samples // ON_A_PAGE)
    if found.samples.empty:
        st.info(f"There are {n_pages} pages." if found.n_samples else "No sample of this task matches.")
        return found.samples
    matching = f" with {text.markdown(word)}" if word else ""
    st.caption(f"{found.n_samples:,} samples{matching}; page {page} of {n_pages}.")
    table = sample_table(found.samples)
    height = min(260, 38 + 35 * len(table))
    show_table(table, table, "samples", alt="Samples of the task", columns=COLUMNS, height=height)
    return found.samples


def _show_one(view: View, cells: pd.DataFrame, sample: str) -> None:
    names = view.derive(name_configurations)
    options = [str(each) for each in cells["configuration"].drop_duplicates()]
    chosen = state.some(
        "samples_of",
        "Configurations side by side",
        options,
        shown=names.__getitem__,
        placeholder="The full cache, uniform and LU-KV",
        most=MOST_SHOWN,
    )
    with_counts = state.switch("counts", "Show what each head kept")
    of = cells.drop_duplicates("configuration").set_index("configuration")["cell"]
    shown = chosen or _usual(cells)
    show_incomplete(view, shown)
    show_answers(view, sample, {names[each]: str(of[each]) for each in shown}, with_counts=with_counts)


def _usual(cells: pd.DataFrame) -> list[str]:
    """The full cache's configuration, if it is there, and a usual pair."""
    full = [str(each) for each in cells.loc[cells["allocator"] == "full", "configuration"]]
    return list(dict.fromkeys([*full[:1], *usual_pair(cells)]))


def _show_prompt(prompt: str | None, place: Place, ordinal: int) -> None:
    """The prompt where the record keeps it, and how to get it where it does not."""
    if prompt is not None:
        st.code(text.block(prompt), language=None, wrap_lines=True)
        return
    task, length = place
    words = ["lukv-bench", "tasks", "export", "--tasks", task, *([] if length is None else ["--length", str(length)])]
    st.write(
        "This sample's prompt was not kept; `run --keep-prompts` keeps them. This writes the task's prompts to files:"
    )
    command = shlex.join([*words, "--limit", str(ordinal + 1), "--out", "prompts"])
    st.code(text.block(command), language=None, wrap_lines=True)


show(current_view())
