"""The scores of some rows as one table: what ranks, areas and figures are made from."""

from collections.abc import Callable, Sequence

import pandas as pd

from .comparable import Row
from .database import Database
from .documents import with_documents
from .queries import scores_frame
from .statistics.complete import score_table
from .statistics.table import ScoreTable


def read_score_table(
    db: Database, rows: Sequence[Row], configuration: Callable[[Row], str], task: Callable[[Row], str]
) -> tuple[ScoreTable, pd.DataFrame]:
    """(table, incomplete) of `statistics.complete.score_table`, for rows that may be ranked together.

    Args:
        db: The results.
        rows: Of `read_results`.
        configuration: The name of a row's configuration.
        task: The name of a row's task.
    """
    cells = pd.DataFrame(
        {
            "cell": [row["cell"] for row in rows],
            "configuration": [configuration(row) for row in rows],
            "task": [task(row) for row in rows],
            **{name: [row[name] for row in rows] for name in ("length", "task_version", "data_revision", "status")},
        }
    )
    readable = [str(row["cell"]) for row in rows if row["status"] != "unreadable"]
    return score_table(cells, with_documents(db, scores_frame(db, readable)))
