"""The record says of each task whether the model's chat template was used."""

import json
import sqlite3
from pathlib import Path
from typing import Any


def test_a_task_that_forbids_the_template_is_on_record_as_plain(tiny: Path, lukv_bench: Any) -> None:
    row = {"input": "Type:", "context": "Question: Why?\nType: Reason", "answers": ["Reason"], "length": 9}
    row |= {"dataset": "trec", "language": "en", "all_classes": ["Reason", "Place"], "_id": "1"}
    Path("data").mkdir()
    Path("data/trec.jsonl").write_text(json.dumps(row) + "\n")
    Path("data/hotpotqa.jsonl").write_text(json.dumps(row | {"dataset": "hotpotqa", "all_classes": None}) + "\n")
    tasks = "longbench_trec,longbench_hotpotqa,niah_single_1"
    command = ("run", "--model", tiny, "--allocator", "uniform", "--ratio", "0.5", "--data-dir", "data", "--limit", "1")
    ended = lukv_bench(*command, "--tasks", tasks, "--length", "360", "--db", "out.db", "--sink", "0", "--json")
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
