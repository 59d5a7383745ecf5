"""A run that is killed between the answers to questions on one context, and the same command again."""

import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .forked import Forked, wait_until
from .own_questions import write_questions

Query = Callable[[str], list[tuple[Any, ...]]]
ROWS = (
    "SELECT cell_id, sample_id, status, text, score, stop_reason, n_context_tokens, n_question_tokens, "
    "n_generated_tokens, kv_tokens_kept, kv_bytes_kept, kept_hash, events FROM answer ORDER BY cell_id, sample_id"
)
QUESTIONS = 5
CELLS = 3


def rows_of(database: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute(ROWS).fetchall()
    connection.close()
    return found


@pytest.mark.parametrize(("batch", "n_tokens"), [("auto", 96)])
def test_a_run_killed_inside_a_group_ends_with_the_rows_of_one_that_was_left_alone(
    batch: str, n_tokens: int, slow: Path, lukv_bench: Any, fork: Callable[..., Forked], query: Query, home: Path
) -> None:
    """Several configurations together, whose answers to a question follow those to the one before."""
    data = write_questions(Path("notes.jsonl"), (QUESTIONS,))
    command = ["run", "--model", slow, "--data", data, "--allocator", "uniform,adakv", "--scorer", "keydiff"]
    command += ["--ratio", "0.5", "--batch", batch, "--answer-tokens", n_tokens]
    alone = lukv_bench(*command, "--db", "alone.db")
    assert alone.code == 0, alone.err
    undisturbed = rows_of(Path("alone.db"))
    assert len(undisturbed) == QUESTIONS * CELLS

    process = fork(*command, "--db", "out.db")
    wait_until(lambda: len(query("SELECT id FROM answer")) >= CELLS + 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = rows_of(Path("out.db"))
    assert CELLS < len(killed) < QUESTIONS * CELLS, "it was killed between the answers of its only group"
    assert set(killed) <= set(undisturbed)

    ended = lukv_bench(*command, "--db", "out.db", "--json")
    assert ended.code == 0, ended.err
    assert f"{QUESTIONS * CELLS - len(killed)} new answers" in ended.err
    assert rows_of(Path("out.db")) == undisturbed
    assert query("SELECT cell_id, sample_id FROM claim") == []
    assert [(row["status"], row["n"]) for row in ended.rows] == [("complete", QUESTIONS)] * CELLS
