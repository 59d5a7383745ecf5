"""Evidence beside the results that the tests look at: of the needle task alone."""

import shutil
import sqlite3
from pathlib import Path

TASK = "niah"

_INSERT = """
INSERT INTO evidence (answer_id, n_tokens, kept_share, half_share, outcome, n_right_characters, n_characters)
SELECT answer.id, 20, 1.0 * kv_tokens_kept / kv_tokens_full, 0.5,
       CASE WHEN answer.score = 1 THEN 'found' WHEN ordinal % 3 = 0 THEN 'miscopied' ELSE 'missed' END, 3, 4
FROM answer JOIN sample ON sample.id = sample_id WHERE task = ?
"""


def write_evidence(source: Path, path: Path) -> Path:
    """A copy of a database: every answer to TASK keeps of its evidence what it keeps of the context, right ones are
    found, and of the others each third sample's is miscopied."""
    shutil.copy(source, path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(_INSERT, (TASK,))
    connection.close()
    return path
