"""Answers side by side: what each configuration gave for the same sample, beside its references."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Text, cast, select

from .database import Database
from .labels import allocator_label, budget_label, schedule_label, scorer_label
from .portions import portions
from .readable import parsed
from .results import Row
from .schema import Answer, Evidence, Sample
from .totals import of_cells

EVIDENCE = {
    "evidence_tokens": Evidence.n_tokens,
    "evidence_kept_share": Evidence.kept_share,
    "evidence_half_share": Evidence.half_share,
    "evidence_layer_shares": cast(Evidence.layer_shares, Text),
    "outcome": Evidence.outcome,
    "n_right_characters": Evidence.n_right_characters,
    "n_characters": Evidence.n_characters,
}
"""What is known of an answer's evidence, by column; see `measure_tables.Evidence`."""

ANSWER_COLUMNS = (
    *("model", "task", "length", "ordinal", "sample", "references", "facets", "cell", "allocator", "scorer", "budget"),
    *("schedule", "protocol", "seed", "status", "score", "text", "error"),
    *EVIDENCE,
)
"""The columns of an answer, in order."""


def read_answers(store: Database, rows: Sequence[Row], limit: int | None = None) -> list[dict[str, Any]]:
    """The answers of some cells with ANSWER_COLUMNS, sample by sample, the cells of a sample in the order of `rows`.

    - `score` is in [0, 100], null for a failed answer, which has an `error` in place of its `text`.
    - EVIDENCE is null where the answer has none.
    - `references` are the texts that count as right, null where the sample keeps none; `facets` group samples.

    Args:
        store: The results.
        rows: Of `read_results`.
        limit: Samples of each task and length, the first by ordinal; None = all.
    """
    place = {str(row["cell"]): number for number, row in enumerate(rows)}
    query: Any = select(
        *(Answer.cell_id, Answer.status, Answer.score, Answer.text, Answer.error, Sample.id, Sample.ordinal),
        cast(Sample.reference_answers, Text).label("references"),
        cast(Sample.facets, Text).label("facets"),
        *(column.label(name) for name, column in EVIDENCE.items()),
    ).join(Sample, Sample.id == Answer.sample_id)
    query = query.outerjoin(Evidence, Evidence.answer_id == Answer.id)
    if limit is not None:
        query = query.where(Sample.ordinal < limit)
    answers: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    with store.reading() as connection:
        for some in portions([*place]):
            for answer in connection.execute(of_cells(query, Answer.cell_id, some)).mappings():
                number = place[answer["cell_id"]]
                row = rows[number]
                order = (row["task"], row["length"] or 0, answer["ordinal"], row["model"], answer["id"], number)
                answers.append((order, _answer(row, answer)))
    return [answer for _, answer in sorted(answers, key=lambda item: item[0])]


def _answer(row: Row, answer: RowMapping) -> dict[str, Any]:
    values = {
        **{name: row[name] for name in ("model", "task", "length", "cell", "protocol", "seed")},
        **{name: answer[name] for name in ("ordinal", "status", "text", "error", *EVIDENCE)},
        "evidence_layer_shares": parsed(answer["evidence_layer_shares"]),
        "sample": answer["id"],
        "references": parsed(answer["references"]),
        "facets": parsed(answer["facets"]),
        "allocator": allocator_label(row),
        "scorer": None if row["scorer"] is None else scorer_label(row),
        "budget": budget_label(row),
        "schedule": schedule_label(row),
        "score": None if answer["score"] is None else 100 * answer["score"],
    }
    return {name: values[name] for name in ANSWER_COLUMNS}
