"""The record, as data frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from .database import Database
from .portions import portions
from .results import COLUMNS, Row, read_results
from .sample_scores import read_scores
from .schema import Allocation, Answer, AnswerAllocation, Sample
from .standing import DONE
from .totals import of_cells

RESULTS_COLUMNS = COLUMNS
COMPARED_COLUMNS = (*COLUMNS, "interval", "gain", "against", "n_documents", "share_of_oracle")
"""The columns of rows that `comparison.compare` has completed."""
KEEP_COUNTS_COLUMNS = ("cell", "sample", "ordinal", "counts")

_DTYPES = {
    **dict.fromkeys(("length", "keep_tokens", "window", "n_documents", "evidence_tokens"), "Int64"),
    **dict.fromkeys(("n_right_characters", "n_characters"), "Int64"),
    **dict.fromkeys(("n", "n_failed", "n_timed", "seed", "samples_asked", "sink", "ordinal"), "int64"),
    **dict.fromkeys(("ratio", "score", "stderr", "share_of_oracle"), "float64"),
    "is_oracle": "bool",
    **dict.fromkeys(("kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept"), "float64"),
    **dict.fromkeys(("kl_nats", "agreement", "reference_nll", "full_reference_nll"), "float64"),
    **dict.fromkeys(("evidence_kept_share", "evidence_half_share"), "float64"),
    **dict.fromkeys(("n_fidelity", "n_evidence", "n_found", "n_miscopied", "n_missed"), "int64"),
    **dict.fromkeys(("ttft_s", "tpot_s", "prefill_s", "evict_s"), "float64"),
}
"""Any other column holds texts or JSON, of dtype object, so that a missing one is None in any pandas."""


def results_frame(store: Database, cells: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of `read_results`: one per cell (those named, or all), with RESULTS_COLUMNS."""
    return rows_frame(read_results(store, cells), RESULTS_COLUMNS)


def rows_frame(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a frame with these columns in order, also where there is no row."""
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=_DTYPES.get(name, "object")) for name in columns}
    )


def scores_frame(store: Database, cells: Sequence[str]) -> pd.DataFrame:
    """The scored answers of some cells: columns cell, sample, ordinal and score [0, 100], by cell and ordinal."""
    scores = read_scores(store, sorted(set(cells)))
    query = select(Sample.id, Sample.ordinal)
    with store.reading() as connection:
        ordinals = {
            sample: ordinal
            for some in portions(scores.samples)
            for sample, ordinal in connection.execute(query.where(Sample.id.in_(some)))
        }
    ordinal = np.array([ordinals.get(sample, -1) for sample in scores.samples], dtype=np.int64)[scores.sample]
    order = np.lexsort((scores.sample, ordinal, scores.cell))
    names = {"cell": (list(scores.cells), scores.cell), "sample": (scores.samples, scores.sample)}
    columns = {
        name: pd.Series(np.array(all_of, dtype=object)[place[order]], dtype="object")
        for name, (all_of, place) in names.items()
    }
    return pd.DataFrame({**columns, "ordinal": ordinal[order], "score": scores.score[order]})


def keep_counts_frame(store: Database, cells: Sequence[str]) -> pd.DataFrame:
    """What each done answer of some cells kept: columns cell, sample, ordinal and counts, by cell and ordinal.

    `counts` is a list per layer with a number per KV head; answers that hold none have no row.
    """
    query = (
        select(Answer.cell_id, Answer.sample_id, Sample.ordinal, Allocation.counts)
        .join(Sample)
        .join(AnswerAllocation, AnswerAllocation.answer_id == Answer.id)
        .join(Allocation, Allocation.id == AnswerAllocation.allocation_id)
        .where(DONE)
    )
    with store.reading() as connection:
        rows = [
            dict(zip(KEEP_COUNTS_COLUMNS, row, strict=True))
            for some in portions(list(dict.fromkeys(cells)))
            for row in connection.execute(of_cells(query, Answer.cell_id, some))
        ]
    rows.sort(key=lambda row: (row["cell"], row["ordinal"], row["sample"]))
    return rows_frame(rows, KEEP_COUNTS_COLUMNS)


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain Python values that JSON takes: None for anything missing, whole numbers as int."""
    columns = {str(name): [_plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: object) -> object:
    if isinstance(value, (dict, list, str)):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value
