"""What several cells answered to one sample."""

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Text, cast, select

from ..database import Database
from ..portions import portions
from ..readable import parsed
from ..schema import Allocation, Answer, AnswerAllocation
from ..totals import of_cells

SAMPLE_ANSWERS_COLUMNS = (
    *("cell", "status", "score", "text", "error", "stop_reason", "n_context_tokens", "n_question_tokens"),
    *("n_generated_tokens", "kv_tokens_full", "kv_tokens_kept", "events", "counts", "created_at"),
)


def read_answers_of_sample(db: Database, sample: str, cells: Sequence[str]) -> pd.DataFrame:
    """The answers of some cells to a sample, with SAMPLE_ANSWERS_COLUMNS, in the order of `cells`.

    `score` is in [0, 100]; `counts` has a list per layer with a number per KV head, or is None where the answer records
    none. Cells without an answer to the sample have no row.
    """
    query = (
        select(
            *(Answer.cell_id.label("cell"), Answer.status, (100 * Answer.score).label("score"), Answer.text),
            *(Answer.error, Answer.stop_reason, Answer.n_context_tokens, Answer.n_question_tokens),
            *(Answer.n_generated_tokens, Answer.kv_tokens_full, Answer.kv_tokens_kept),
            cast(Answer.events, Text).label("events"),
            cast(Allocation.counts, Text).label("counts"),
            Answer.created_at,
        )
        .outerjoin(AnswerAllocation, AnswerAllocation.answer_id == Answer.id)
        .outerjoin(Allocation, Allocation.id == AnswerAllocation.allocation_id)
        .where(Answer.sample_id == sample)
    )
    once = list(dict.fromkeys(cells))
    with db.reading() as connection:
        rows = [
            dict(row) | {"events": parsed(row["events"]), "counts": parsed(row["counts"])}
            for some in portions(once)
            for row in connection.execute(of_cells(query, Answer.cell_id, some)).mappings()
        ]
    place = {cell: number for number, cell in enumerate(once)}
    rows.sort(key=lambda row: place[row["cell"]])
    return pd.DataFrame(rows, columns=list(SAMPLE_ANSWERS_COLUMNS), dtype="object").astype({"score": "float64"})
