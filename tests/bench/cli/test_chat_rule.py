"""Tasks that use the chat template beside tasks that forbid it: each is answered, and on record as what it was."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASKS = ("longbench_trec", "longbench_hotpotqa", "niah_single_1")


@pytest.fixture
def run(lukv_bench: Any) -> Callable[..., Any]:
    row = {"input": "Type:", "context": "Question: Why?\nType: Reason", "answers": ["Reason"], "length": 9}
    row |= {"dataset": "trec", "language": "en", "all_classes": ["Reason", "Place"], "_id": "1"}
    Path("data").mkdir()
    Path("data/trec.jsonl").write_text(json.dumps(row) + "\n")
    Path("data/hotpotqa.jsonl").write_text(json.dumps(row | {"dataset": "hotpotqa", "all_classes": None}) + "\n")
    command = ("run", "--allocator", "uniform", "--ratio", "0.5", "--data-dir", "data", "--limit", "1", "--sink", "0")
    command += ("--tasks", ",".join(TASKS), "--length", "360", "--db", "out.db", "--json")
    return lambda *arguments: lukv_bench(*command, *arguments)


def test_a_task_that_forbids_the_template_is_on_record_as_plain(tiny: Path, run: Callable[..., Any]) -> None:
    ended = run("--model", tiny)
    assert ended.code == 0, ended.err
    query = "SELECT c.task, f.chat_form, f.truncation FROM cell c JOIN configuration f ON f.id = c.configuration_id"
    connection = sqlite3.connect("out.db")
    said = {(task, form.partition("-")[0], truncation) for task, form, truncation in connection.execute(query)}
    connection.close()
    assert said == {
        ("longbench_trec", "plain", "middle"),
        ("longbench_hotpotqa", "chat", "middle"),
        ("niah_single_1", "chat", "refuse"),
    }
    assert len(ended.rows) == 6


@pytest.mark.parametrize("truncate", [(), ("--no-truncate",)])
@pytest.mark.parametrize("template", [True, False])
def test_every_task_asked_for_is_answered_by_every_method(
    copy_of: Callable[[str], Path], run: Callable[..., Any], template: bool, truncate: tuple[str, ...]
) -> None:
    """Without a template the rules of all tasks may come to one and the same configuration."""
    folder = copy_of("model")
    if not template:
        (folder / "chat_template.jinja").unlink()
    ended = run("--model", folder, *truncate)
    assert ended.code == 0, ended.err
    answered = sorted((row["task"], row["allocator"], row["n"]) for row in ended.rows)
    assert answered == sorted((task, allocator, 1) for task in TASKS for allocator in ("full", "uniform"))
