"""What a sample knows of itself is in the database, so that a reader can group answers by it."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

LONGBENCH_ROW = {
    "input": "Who lit the lamp?", "context": "The keeper lit the lamp. " * 9, "answers": ["the keeper"], "length": 5000,
    "dataset": "hotpotqa", "language": "en", "all_classes": None, "_id": "row-7",
}  # fmt: skip
V2_ROW = {
    "_id": "66f", "domain": "Single-Document QA", "sub_domain": "Legal", "difficulty": "hard", "length": "short",
    "question": "Who?", "choice_A": "a", "choice_B": "b", "choice_C": "c", "choice_D": "d", "answer": "B",
    "context": "The keeper lit the lamp. " * 9,
}  # fmt: skip


def samples(database: Path) -> list[tuple[Any, Any]]:
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT facets, reference_answers FROM sample ORDER BY ordinal").fetchall()
    connection.close()
    return [(json.loads(facets), json.loads(answers)) for facets, answers in rows]


@pytest.mark.parametrize(
    ("task", "file", "row", "facets", "answers"),
    [
        ("longbench_e_hotpotqa", "hotpotqa_e.jsonl", LONGBENCH_ROW, {"id": "row-7", "bucket": "4-8k"}, ["the keeper"]),
        (
            "longbench_v2",
            "longbench_v2.json",
            V2_ROW,
            {
                "id": "66f", "difficulty": "hard", "length": "short", "domain": "Single-Document QA",
                "sub_domain": "Legal",
            },
            ["B"],
        ),
    ],
)  # fmt: skip
def test_a_run_keeps_length_class_and_references(
    tiny: Path, lukv_bench: Any, home: Path, task: str, file: str, row: dict[str, Any], facets: Any, answers: Any
) -> None:
    text = json.dumps([row]) if file.endswith(".json") else json.dumps(row) + "\n"
    (home / "data_dir").mkdir()
    (home / "data_dir" / file).write_text(text)
    ended = lukv_bench(
        *("run", "--model", tiny, "--tasks", task, "--data-dir", home / "data_dir", "--allocator", "full"),
        *("--no-baselines", "--limit", "1", "--db", "out.db"),
    )
    assert ended.code == 0, ended.err
    ((kept, references),) = samples(Path("out.db"))
    assert kept.pop("document")
    assert (kept, references) == (facets, answers)


def test_questions_about_one_context_count_together(tiny: Path, lukv_bench: Any, home: Path) -> None:
    """Also in a database whose samples an older version wrote without their documents: nothing is answered again."""
    rows = [LONGBENCH_ROW | {"input": f"Who lit lamp {i}?", "context": f"Keeper {i // 3}. " * 9} for i in range(6)]
    (home / "data_dir").mkdir()
    (home / "data_dir" / "qasper.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = (
        *("run", "--model", tiny, "--tasks", "longbench_qasper", "--data-dir", home / "data_dir", "--limit", "6"),
        *("--no-baselines", "--db", "out.db"),
    )
    assert lukv_bench(*run, "--allocator", "full").code == 0
    results = ("results", "--db", "out.db")
    (row,) = json.loads(lukv_bench(*results, "--json").out)
    assert (row["n"], row["n_documents"]) == (6, 2)
    assert "count the samples of one document together: longbench_qasper (6 samples, 2 documents)" in " ".join(
        lukv_bench(*results).out.split()
    )
    with sqlite3.connect("out.db") as connection:
        connection.execute("UPDATE sample SET facets = json_remove(facets, '$.document')")
        answers = connection.execute("SELECT * FROM answer").fetchall()
    connection.close()
    assert json.loads(lukv_bench(*results, "--json").out)[0]["n_documents"] == 6
    again = lukv_bench(*run, "--allocator", "full", "--allocator", "uniform", "--scorer", "knorm", "--ratio", "0.5")
    assert again.code == 0, again.err
    assert [row["n_documents"] for row in json.loads(lukv_bench(*results, "--json").out)] == [2, 2]
    with sqlite3.connect("out.db") as connection:
        assert connection.execute("SELECT * FROM answer").fetchall()[:6] == answers
    connection.close()


def test_a_needle_s_depth_is_kept_of_samples_made_and_of_exported_ones(tiny: Path, lukv_bench: Any, home: Path) -> None:
    of = ("--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--limit", "2")
    run = ("run", *of, "--allocator", "full", "--no-baselines")
    assert lukv_bench(*run, "--db", "made.db").code == 0
    made = samples(Path("made.db"))
    assert len(made) == 2
    for facets, answers in made:
        (depth,) = facets["depths"]
        assert 0 <= depth <= 1
        assert len(answers) == 1
    assert lukv_bench("tasks", "export", *of, "--out", home / "exported").code == 0
    assert lukv_bench(*run, "--samples", home / "exported", "--db", "read.db").code == 0
    assert samples(Path("read.db")) == made
