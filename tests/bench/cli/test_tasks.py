"""Tasks of their own length, samples that travel, recorded predictions."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.models.load import load_prompt_model
from lukv_bench.bench.record.hashing import content_hash
from lukv_bench.tasks.catalog import families

WORDS = ["lamp", "keeper", "light", "storm", "boat", "harbour", "north", "stone", "letter", "ledger"]
LONG = " ".join(WORDS[(7 * i * i + i) % 10] for i in range(4000))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of hotpotqa, the second far too long for the tiny model; two of trec."""
    folder = tmp_path_factory.mktemp("data")
    common = {"language": "en", "dataset": "x", "all_classes": None}
    rows = [
        {"input": "Who lit it?", "context": context, "answers": ["the keeper"], "length": len(context.split())} | common
        for context in ("The keeper lit the lamp.", f"FIRST {LONG} LAST")
    ]
    (folder / "hotpotqa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    classes = ["Person", "Place"]
    few = [{"input": "Q", "context": "Question: A\nType: Place", "answers": ["Place"]} for _ in range(2)]
    few = [row | common | {"length": 9, "all_classes": classes, "_id": "z"} for row in few]
    (folder / "trec.jsonl").write_text("\n".join(map(json.dumps, few)))
    return folder


@pytest.fixture
def run(lukv_bench: Any, tiny: Path, home: Path) -> Callable[..., Any]:
    """A run on the tiny model into a database of the test's own."""

    def run(*more: object, model: Path = tiny, db: str = "out.db") -> Any:
        return lukv_bench(
            "run", "--model", model, "--allocator", "uniform", "--ratio", 0.5, "--db", home / db, "--json", *more
        )

    return run


def answers(database: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as store:
        return store.execute(
            "SELECT sample.task, sample.length, sample.ordinal, answer.cell_id, answer.text, answer.events, "
            "answer.n_context_tokens, answer.n_question_tokens, answer.stop_reason FROM answer "
            "JOIN sample ON sample.id = answer.sample_id ORDER BY 1, 2, 3, 4"
        ).fetchall()


def test_a_task_of_its_own_length_runs_what_there_is_and_says_what_it_cut(
    run: Any, data_dir: Path, home: Path, slow: Path
) -> None:
    ended = run("--tasks", "longbench_hotpotqa", "--data-dir", data_dir, "--limit", 50, model=slow)
    assert ended.code == 0, ended.err
    assert [(row["task"], row["length"], row["n"], row["status"]) for row in ended.rows] == [
        ("longbench_hotpotqa", None, 2, "complete")
    ] * 2
    assert {row["spec"]["truncation"] for row in ended.rows} == {"middle"}
    for _, length, ordinal, _, _, events, n_context, n_question, _ in answers(home / "out.db"):
        assert length is None
        if ordinal == 0:
            assert json.loads(events) == []
            continue
        (event,) = json.loads(events)
        assert event["event"] == "truncated_middle"
        assert n_context + n_question + 32 == 2048, "as much as the model holds"
        assert event["n_kept"] == n_context
        assert event["n_cut"] > 1000


ODD = {
    "braces": "{{ context }} {% if x %} {context} {0}",
    "empty": "",
    "chinese": "守夜人点亮灯塔。然后睡觉",
    "blank": " \n\n ",
    "long": LONG * 25,
}


def test_odd_contexts_and_answers_are_put_and_scored_like_any_other(run: Any, tmp_path: Path, home: Path) -> None:
    row = {"input": "Who (a|b)*?", "answers": ["a+b*c? [x]{2} (?P<n>.) ^$ \\d"], "all_classes": None, "length": 3}
    (tmp_path / "hotpotqa.jsonl").write_text("\n".join(json.dumps(row | {"context": text}) for text in ODD.values()))
    ended = run("--tasks", "longbench_hotpotqa", "--data-dir", tmp_path, "--limit", 9)
    assert ended.code == 0, ended.err
    assert {(found["n"], found["status"]) for found in ended.rows} == {(len(ODD), "complete")}
    cut = {ordinal for _, _, ordinal, _, _, events, *_ in answers(home / "out.db") if json.loads(events)}
    assert cut == {list(ODD).index("long")}


def test_a_shorter_window_is_a_configuration_of_its_own(run: Any, data_dir: Path, home: Path) -> None:
    command = ("--tasks", "longbench_hotpotqa", "--data-dir", data_dir)
    whole, short = run(*command), run(*command, "--max-length", 600)
    assert {row["cell"] for row in whole.rows}.isdisjoint(row["cell"] for row in short.rows)
    assert {row["spec"]["truncation"] for row in short.rows} == {"middle-600"}
    cut = [row for row in answers(home / "out.db") if row[3] in {r["cell"] for r in short.rows} and row[2] == 1]
    assert {n_context + n_question + 32 for *_, n_context, n_question, _ in cut} == {600}


def test_under_aware_the_question_survives_the_cut_too(run: Any, data_dir: Path, home: Path) -> None:
    run("--tasks", "longbench_hotpotqa", "--data-dir", data_dir, "--protocol", "aware", "--no-baselines")
    _, (*_, events, n_context, n_question, _) = answers(home / "out.db")
    assert (n_context + n_question + 32, n_question) == (2048, 1)
    assert json.loads(events)[0]["n_cut"] > 1000
    run("--tasks", "longbench_hotpotqa", "--data-dir", data_dir, "--no-baselines", db="blind.db")
    _, (*_, blind, _, _, _) = answers(home / "blind.db")
    assert json.loads(events) == json.loads(blind), "the question is no part of what is kept of the context"


def test_what_is_refused_instead_of_cut(refused: Any, tiny: Path, data_dir: Path, tmp_path: Path) -> None:
    command = ["run", "--model", tiny, "--tasks", "longbench_hotpotqa", "--data-dir", data_dir]
    (tmp_path / "hotpotqa.jsonl").write_text(
        "\n".join(reversed((data_dir / "hotpotqa.jsonl").read_text().splitlines()))
    )
    long_first = [*command[:-1], tmp_path]
    refused([*long_first, "--no-truncate"], "sample 0 of longbench_hotpotqa", "2048", "--no-truncate")
    refused([*command, "--max-length", "99999"], "--max-length 99999", "2048")
    short = refused([*long_first, "--max-length", "40"], "question", "--max-length is 40", "raise --max-length", "2048")
    assert "another model" not in short
    refused([*command, "--max-length", "0"], "--max-length", "at least 1")
    needles = ["run", "--model", tiny, "--tasks", "niah_single_1", "--length", "500", "--max-length", "400"]
    refused(needles, "sample 0 of niah_single_1", "--max-length is 400", "--length", "raise --max-length")


def test_ruler_keeps_its_configuration_beside_tasks_that_may_be_cut(run: Any, data_dir: Path) -> None:
    needles = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1)
    alone = {row["cell"] for row in run(*needles).rows}
    both = run("--tasks", "niah_single_1,longbench_trec", *needles[2:], "--data-dir", data_dir, db="other.db").rows
    assert alone <= {row["cell"] for row in both}
    assert {(row["task"], row["spec"]["truncation"]) for row in both} == {
        ("niah_single_1", "refuse"),
        ("longbench_trec", "middle"),
    }


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("longbench_passage_retrieval_en", {"context": "c", "input": "i", "answers": ["3"]}, ("row 1", "'3'")),
        ("longbench_hotpotqa", {"context": "c\ud800", "input": "i", "answers": ["a"]}, ("line 1", "\\ud800")),
        ("qa_2", {"question": None, "answer": "a", "context": [["t", ["s"]]]}, ("hotpot", "text is expected")),
        ("vt", {"input": "i", "outputs": ["a"], "max_length": [4]}, ("vt.jsonl, row 1", "`max_length`")),
    ],
)
def test_data_that_no_run_could_use_are_refused_before_anything_is_written(
    refused: Any, tiny: Path, tmp_path: Path, task: str, row: object, words: tuple[str, ...]
) -> None:
    name = {"qa_2": "hotpotqa"}.get(task, task.removeprefix("longbench_"))
    (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    length = [] if task.startswith("longbench") else ["--length", 1000]
    command = ["--model", tiny, "--tasks", task, *length, "--limit", 1, "--data-dir", tmp_path]
    refused(["run", *command], *words)
    refused(["tasks", "export", *command, "--out", tmp_path / "out"], *words)


def test_a_family_stands_for_its_tasks(refused: Any, tiny: Path, data_dir: Path) -> None:
    refused(["run", "--model", tiny, "--tasks", "longbench", "--data-dir", data_dir], "finds no data in")
    refused(["run", "--model", tiny, "--tasks", "longbanch"], "did you mean 'longbench'")


def test_an_answer_of_which_one_line_counts_ends_with_that_line(
    run: Any, data_dir: Path, home: Path, slow: Path
) -> None:
    assert run("--tasks", "longbench_trec", "--data-dir", data_dir, model=slow).code == 0
    for *_, text, _, _, _, reason in answers(home / "out.db"):
        assert "\n" not in text.lstrip("\n")
        assert reason in ("stop_string", "length", "eos")


def test_samples_that_travelled_give_the_cells_and_answers_of_a_run_that_makes_them(
    run: Any, lukv_bench: Any, tiny: Path, data_dir: Path, home: Path
) -> None:
    made = ("--tasks", "niah_single_1,longbench_hotpotqa", "--length", "360,500", "--limit", 2, "--seed", 5)
    exported = lukv_bench("tasks", "export", "--model", tiny, *made, "--data-dir", data_dir, "--out", home / "samples")
    assert exported.code == 0, exported.err
    assert {path.name for path in (home / "samples").iterdir()} == {
        "niah_single_1.360.jsonl",
        "niah_single_1.500.jsonl",
        "longbench_hotpotqa.jsonl",
    }
    own = run(*made, "--data-dir", data_dir)
    read = run(*made, "--samples", home / "samples", db="read.db")
    assert (own.code, read.code) == (0, 0), read.err
    assert answers(home / "read.db") == answers(home / "out.db")
    again = run(*made, "--samples", home / "samples")
    assert "0 new answers" in again.err, "the run that reads them finds the other's answers"


FIELDS = {
    *("task", "version", "length", "seed", "ordinal", "data_revision", "model", "hash", "sample"),
    *("context", "question", "answer_prefix", "prompt", "answers", "all_classes", "generation"),
    *("prompt_hash", "generation_hash", "n", "asked"),
}


@pytest.fixture
def exported(lukv_bench: Any, tiny: Path, home: Path) -> Path:
    """Two samples at 360 tokens."""
    command = ("--tasks", "niah_single_1", "--length", 360, "--limit", 2, "--out", home / "work" / "set")
    assert lukv_bench("tasks", "export", "--model", tiny, *command).code == 0
    return home / "work" / "set" / "niah_single_1.360.jsonl"


def test_an_exported_sample_says_all_that_a_reader_needs(exported: Path, tiny: Path) -> None:
    tokenizer = load_prompt_model(str(tiny)).tokenizer
    for number, record in enumerate(map(json.loads, exported.read_text().splitlines())):
        assert set(record) >= FIELDS
        assert (record["task"], record["length"], record["ordinal"], record["seed"]) == (
            "niah_single_1",
            360,
            number,
            0,
        )
        assert record["context"] + record["question"] in record["prompt"]
        assert record["prompt"].endswith(record["answer_prefix"])
        assert record["answers"][0] in record["context"]
        assert record["generation"]["max_gen_toks"] == 128
        ids = tokenizer(record["prompt"], add_special_tokens=False)["input_ids"]
        assert len(ids) == record["n_prompt_tokens"] <= 360 - 128


def test_samples_that_are_not_the_runs_own_are_refused(
    refused: Any, exported: Path, tiny: Path, other: Path, copy_of: Callable[[str], Path], data_dir: Path
) -> None:
    command = ["run", "--tasks", "niah_single_1", "--length", "360", "--samples", exported.parent, "--limit"]
    mine = [*command, "2", "--model", tiny]
    refused([*command, "3", "--model", tiny], "holds 2 samples", "--limit")
    refused([*mine, "--seed", "1"], "seed 0", "has 1")
    refused([*mine, "--length", "400"], "no niah_single_1.400.jsonl", "tasks export")
    refused([*mine, "--data-dir", data_dir], "--samples", "--data-dir")
    template = copy_of("template")
    (template / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    refused([*command, "2", "--model", template], "chat template", "--model")
    text = exported.read_text()
    exported.write_text(text.replace("grass is green", "grass is gray"))
    refused(mine, "line 1", "changed since its export")
    exported.write_text("\n".join(reversed(text.splitlines())))
    refused(mine, "in order")
    exported.write_text(text + "no json\n")
    refused(mine, "line 3")


Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def rewritten(path: Path, change: Change) -> None:
    """As if the program had written other lines: each with a hash that fits."""
    records = [{k: v for k, v in json.loads(line).items() if k != "hash"} for line in path.read_text().splitlines()]
    lines = [json.dumps({"hash": content_hash(record), **record}) for record in change(records)]
    path.write_text("".join(line + "\n" for line in lines))


def first(**other: object) -> Change:
    return lambda records: [records[0] | other, *records[1:]]


def second(**other: object) -> Change:
    return lambda records: [records[0], records[1] | other, *records[2:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (second(task="niah_single_2"), ("line 2", "niah_single_2")),
        (second(seed=1), ("line 2", "seed 1", "has 0")),
        (second(length=400), ("line 2", "length 400", "has 360")),
        (second(version="0"), ("line 2", "version 0")),
        (second(data_revision="x"), ("line 2", "data_revision", "again")),
        (second(asked=50), ("line 2", "asked", "again")),
        (second(n=5), ("line 2", "its n differs", "again")),
        (second(model="another"), ("line 2", "its model differs", "again")),
        (second(ordinal=2), ("line 2", "sample 2", "in order", "again")),
        (lambda records: [records[0], records[0]], ("line 2", "sample 0", "in order")),
        (lambda records: [*records, records[1] | {"ordinal": 2}], ("3 of the 2 samples", "again")),
        (lambda records: records[:1], ("1 of the 2 samples", "again")),
        (lambda records: records[1:], ("line 1", "sample 1", "in order")),
        (lambda records: [{k: v for k, v in one.items() if k != "n"} for one in records], ("line 1", "again")),
        (lambda records: [{}, {}], ("line 1", "again")),
        (lambda records: [{"n": 2}, {"n": 2}], ("line 1", "not an exported sample", "'task'")),
        (second(answers=[]), ("line 2", "answers")),
        (second(answers="a"), ("line 2", "'answers'")),
        (second(context=5), ("line 2", "'context'")),
        (second(more=None), ("line 2", "'more'")),
        (second(ordinal=True), ("line 2", "'ordinal'")),
        (first(generation_hash="x"), ("line 1", "generation arguments", "again")),
        (first(ids_hash="x"), ("tokenizer", "--model")),
    ],
)
def test_every_line_has_to_be_of_the_one_export_that_the_run_would_make(
    refused: Any, exported: Path, tiny: Path, change: Change, words: tuple[str, ...]
) -> None:
    rewritten(exported, change)
    command = ["run", "--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--samples", exported.parent]
    refused([*command, "--limit", "2"], *words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[" * 5000 + "]" * 5000, ("nested too deeply",)),
        ('{"hash": "x", "n": NaN}', ("not an exported sample",)),
        ('{"hash": "x", "n": "\\ud800"}', ("half a character",)),
        ("[]", ("not an exported sample",)),
        ("{}", ("not an exported sample",)),
        ("", ("not valid JSON",)),
    ],
)
def test_a_line_that_is_no_sample_is_named(
    refused: Any, exported: Path, tiny: Path, line: str, words: tuple[str, ...]
) -> None:
    exported.write_text(exported.read_text().splitlines()[0] + f"\n{line}\n")
    command = ["run", "--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--samples", exported.parent]
    refused([*command, "--limit", "2"], "line 2", *words)


def test_a_smaller_limit_reads_the_first_samples_of_an_export(run: Any, exported: Path, home: Path) -> None:
    command = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1)
    assert run(*command).code == 0
    assert run(*command, "--samples", exported.parent, db="read.db").code == 0
    assert answers(home / "read.db") == answers(home / "out.db")


def test_samples_of_another_tokenizer_are_refused(refused: Any, lukv_bench: Any, tiny: Path, home: Path) -> None:
    """The default model has the tiny one's template, and other tokens."""
    out = home / "work" / "set"
    command = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1)
    assert lukv_bench("tasks", "export", "--model", "smollm2-135m", *command, "--out", out).code == 0
    refused(["run", "--model", tiny, *command, "--samples", out], "smollm2-135m", "tokenizer", "export", "--model")


def test_an_export_that_fails_leaves_an_older_one_as_it_was(
    exported: Path, tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = exported.read_text()

    def full(self: Path, *given: object, **more: object) -> None:
        with self.open("w") as file:
            file.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    command = ("--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--out", exported.parent)
    ended = lukv_bench("tasks", "export", "--model", tiny, *command)
    assert (ended.code, len(ended.sentences)) == (2, 1), ended.err
    assert "No space left" in ended.sentences[0]
    assert exported.read_text() == before
    assert list(exported.parent.iterdir()) == [exported]


def test_export_refuses_before_it_writes(refused: Any, tiny: Path, home: Path) -> None:
    command = ["tasks", "export", "--model", tiny, "--tasks", "niah_single_1"]
    refused([*command, "--length", "99999", "--out", home / "x"], "99999", "2048")
    refused([*command, "--limit", "0", "--out", home / "x"], "--limit")
    (home / "work" / "file").write_text("")
    refused([*command, "--out", home / "work" / "file" / "x"], "--out", "is a file")
    refused(["tasks", "export", "--tasks", "niah", "--out", home / "x"], "niah")


@pytest.mark.parametrize("name", ["ruler", "longbench_e", "needle_grid"])
def test_the_name_of_a_family_lists_its_tasks(lukv_bench: Any, name: str) -> None:
    listed = lukv_bench("list", "tasks", name, "--json")
    assert listed.code == 0, listed.err
    assert [row["name"] for row in listed.rows] == families()[name]


def predictions(folder: Path, *rows: object) -> Path:
    path = folder / "predictions.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_recorded_predictions_are_scored_as_a_run_scores_them(lukv_bench: Any, home: Path) -> None:
    right = {"pred": "It is Paris.", "answers": ["Paris", "paris, France", "Lutetia"], "all_classes": None}
    wrong = right | {"pred": "London", "length": 7}
    ended = lukv_bench("tasks", "score", "qa_1", predictions(home, right, wrong), "--json")
    assert ended.code == 0, ended.err
    assert ended.rows == [{"task": "qa_1", "n": 2, "score": 50.0}]
    first_line = {"pred": "\nPlace\nPerson", "answers": ["Place"], "all_classes": ["Place", "Person"]}
    ended = lukv_bench("tasks", "score", "longbench_trec", predictions(home, first_line))
    assert ended.out == "longbench_trec: 100.00 over 1 predictions\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", ("line 2", "not valid JSON")),
        ("[]", ("line 2", "object")),
        ('{"pred": ' + "[" * 5000 + "]" * 5000 + "}", ("line 2", "nested too deeply")),
        ({"answers": ["a"]}, ("line 2", '"pred"')),
        ({"pred": "a", "answers": "a"}, ("line 2", '"answers"', "list")),
        ({"pred": "a", "answers": []}, ("line 2", "reference")),
        ({"pred": "a", "answers": ["a"], "all_classes": "a"}, ("line 2", '"all_classes"')),
    ],
)
def test_a_malformed_prediction_is_named_by_its_line(
    refused: Any, home: Path, line: object, words: tuple[str, ...]
) -> None:
    refused(["tasks", "score", "qa_1", predictions(home, {"pred": "a", "answers": ["a"]}, line)], *words)


def test_half_a_character_in_a_prediction_is_scored_as_any_other(lukv_bench: Any, home: Path) -> None:
    ended = lukv_bench("tasks", "score", "qa_1", predictions(home, '{"pred": "a\\ud83d Paris", "answers": ["paris"]}'))
    assert ended.out == "qa_1: 100.00 over 1 predictions\n"


def test_nothing_to_score_is_said(refused: Any, home: Path) -> None:
    refused(["tasks", "score", "qa_1", predictions(home, "")], "no predictions")
    refused(["tasks", "score", "qa_1", home / "absent.jsonl"], "absent.jsonl")
    refused(["tasks", "score", "qa_3", predictions(home, "")], "did you mean")
    for family, one in (("longbench", "longbench_trec"), ("ruler", "niah_single_1")):
        said = refused(["tasks", "score", family, predictions(home, "")], f"'{family}' is a family of tasks", one)
        assert "did you mean" not in said
