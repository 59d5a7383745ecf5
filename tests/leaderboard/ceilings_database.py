"""Floors and oracles beside the results that the tests look at."""

import shutil
import sqlite3
from pathlib import Path

RIGHT = {
    ("uniform", "streaming_llm"): 2,
    ("uniform", "random"): 0,
    ("uniform", "oracle"): 11,
    ("oracle", "keydiff"): 11,
    ("oracle", "oracle"): 12,
}
"""The first samples, of twelve, that each answers right at every budget."""

_CONFIGURATION = """
INSERT INTO configuration
SELECT {columns} FROM (
    SELECT id || :suffix AS id, :allocator AS allocator, :scorer AS scorer, '{{}}' AS scorer_args,
           :allocator || ' x ' || :scorer || ' @ ' || ratio AS label,
           CASE WHEN :oracle = '[]' THEN spec ELSE json_set(spec, '$.oracle', json(:oracle)) END AS spec, {others}
    FROM configuration WHERE allocator = 'uniform' AND scorer = 'keydiff' AND length(id) = 64
)
"""
_CELL = """
INSERT INTO cell (id, configuration_id, task, task_version, data_revision, length, samples_asked, score, stderr)
SELECT id || :suffix, configuration_id || :suffix, task, task_version, data_revision, length, samples_asked,
       100.0 * :right / samples_asked, 1.0
FROM cell WHERE length(configuration_id) = 64 AND configuration_id || :suffix IN (SELECT id FROM configuration)
"""
_ANSWER = """
INSERT INTO answer (cell_id, score, {others})
SELECT cell_id || :suffix, ordinal < :right, {of_answer}
FROM answer JOIN sample ON sample.id = sample_id WHERE cell_id || :suffix IN (SELECT id FROM cell)
"""


def write_ceilings(source: Path, path: Path) -> Path:
    """A copy of a database with RIGHT at both budgets on every task; oracles are marked as a run marks them."""
    shutil.copy(source, path)
    connection = sqlite3.connect(path)
    changed = ("id", "allocator", "scorer", "scorer_args", "label", "spec")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(configuration)")]
    others = ", ".join(name for name in columns if name not in changed)
    of_answer = [row[1] for row in connection.execute("PRAGMA table_info(answer)")]
    rest = [name for name in of_answer if name not in ("id", "cell_id", "score")]
    answers = ", ".join(f"answer.{name}" for name in rest)
    with connection:
        for number, ((allocator, scorer), right) in enumerate(RIGHT.items()):
            reading = [f'"{role}"' for role, name in (("allocator", allocator), ("scorer", scorer)) if name == "oracle"]
            given = {"suffix": f"-{number}", "allocator": allocator, "scorer": scorer, "right": right}
            given["oracle"] = f"[{', '.join(reading)}]"
            connection.execute(_CONFIGURATION.format(columns=", ".join(columns), others=others), given)
            connection.execute(_CELL, given)
            connection.execute(_ANSWER.format(others=", ".join(rest), of_answer=answers), given)
    connection.close()
    return path
