"""Answers to one sample, side by side with what counts as right."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from ..db.frames.one_sample import read_sample
from ..db.frames.sample_answers import read_answers_of_sample
from ..db.keep_counts import counts_array
from . import text
from .figures.budget_map import budget_map
from .view import View, place_label

IN_A_ROW = 3


def show_answers(view: View, sample: str, cells: Mapping[str, str], *, with_counts: bool = False) -> None:
    """Draw a sample's references and the answers of some cells.

    Args:
        view: What the page shows.
        sample: The id of the sample.
        cells: A cell's id by the title of its answer.
        with_counts: Draw what each layer and head kept, too.
    """
    stored = view.record.read(read_sample, sample)
    answers = view.record.read(read_answers_of_sample, sample, list(cells.values()))
    if stored is None or answers.empty:
        st.info("None of these configurations has answered this sample yet.")
        return
    st.markdown(f"**Sample {stored.ordinal} of {text.markdown(place_label((stored.task, stored.length)))}**")
    st.caption("Reference")
    st.code(reference_text(stored.references), language=None, wrap_lines=True)
    rows = {str(row["cell"]): row for row in answers.to_dict("records")}
    titles = list(cells)
    for start in range(0, len(titles), IN_A_ROW):
        some = titles[start : start + IN_A_ROW]
        for column, title in zip(st.columns(max(2, min(IN_A_ROW, len(titles)))), some, strict=False):
            with column:
                _show_answer(title, rows.get(cells[title]), with_counts)


def _show_answer(title: str, row: Mapping[Any, Any] | None, with_counts: bool) -> None:
    st.markdown(f"**{text.markdown(title)}**")
    if row is None:
        st.caption("No answer yet.")
        return
    st.caption(answer_facts(row))
    st.code(text.block(row["text"] if row["text"] is not None else row["error"]), language=None, wrap_lines=True)
    if events := event_names(row["events"]):
        st.caption("Recorded: " + ", ".join(text.markdown(name) for name in events))
    if with_counts:
        _show_counts(title, row)


def _show_counts(title: str, row: Mapping[Any, Any]) -> None:
    counts = counts_array(row["counts"])
    if counts is None:
        st.caption("This answer has no keep counts.")
        return
    full = row["kv_tokens_full"]
    tokens = full / counts.size if isinstance(full, int) and full > 0 else float(counts.max()) or 1.0
    st.plotly_chart(
        budget_map(100 * counts / tokens, 100), key=f"counts {title}", alt="Share kept by layer and head of this answer"
    )


def answer_facts(row: Mapping[Any, Any]) -> str:
    """Score, tokens and why the answer ended, as Markdown."""
    facts = [
        "failed" if row["status"] != "done" else f"score {row['score']:.1f}" if pd.notna(row["score"]) else "no score"
    ]
    kept, full = row["kv_tokens_kept"], row["kv_tokens_full"]
    if isinstance(kept, int) and isinstance(full, int) and full > 0:
        facts.append(f"{100 * kept / full:.1f}% of the cache kept")
    if row["n_generated_tokens"] is not None:
        facts.append(f"{text.line(row['n_generated_tokens'], 20)} tokens")
    if row["stop_reason"] is not None:
        facts.append(f"ended by {text.line(row['stop_reason'], 40)}")
    return text.markdown(", ".join(facts))


def reference_text(references: Any) -> str:
    """What counts as right, a line each."""
    if references is None or references == []:
        return "(the record keeps none)"
    if isinstance(references, list):
        return "\n".join(text.block(each, text.MOST_IN_BLOCK // 10) for each in references[:50])
    return text.block(references)


def event_names(events: Any) -> list[str]:
    """What was recorded of an answer, each kind once; anything that is no list of objects stands for itself."""
    if not events:
        return []
    each_of = events if isinstance(events, list) else [events]
    names = [each.get("event", each) if isinstance(each, dict) else each for each in each_of]
    return list(dict.fromkeys(text.line(name) for name in names))[:20]
