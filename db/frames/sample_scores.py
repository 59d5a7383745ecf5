"""What each sample of some cells scored: the material of every paired comparison."""

from collections.abc import Sequence

import pandas as pd

from ..database import Database
from ..documents import with_documents
from ..queries import scores_frame


def read_sample_scores(db: Database, cells: Sequence[str]) -> pd.DataFrame:
    """The scored answers of some cells: columns cell, sample, ordinal and score [0, 100], by cell and ordinal.

    Where samples share documents there is a column document, too, as `db.statistics` takes it.
    """
    return with_documents(db, scores_frame(db, cells))
