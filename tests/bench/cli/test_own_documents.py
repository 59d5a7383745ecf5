"""`run --data`: an engineer asks the questions of their own documents."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lukv_bench as lb
from lukv_bench.bench.run import worker

LAMP = "The keeper lit the lamp at dusk. The goat slept in the hay. The boat came at nine from the quay."
ROPE = "Another text, about rope and the weight of two anchors that nobody had ordered."
ROWS: list[dict[str, Any]] = [
    {"context": LAMP, "questions": ["Who lit the lamp?", "When did the boat come?"], "answers": ["the keeper", "nine"]},
    {"context": ROPE, "question": "What is it about?", "answers": ["rope", "anchors"]},
]
ANSWERS = (
    "SELECT sample.ordinal, configuration.allocator, answer.text, answer.score FROM answer "
    "JOIN sample ON sample.id = answer.sample_id JOIN cell ON cell.id = answer.cell_id "
    "JOIN configuration ON configuration.id = cell.configuration_id WHERE answer.status = 'done' ORDER BY 1, 2"
)


@pytest.fixture
def run(lukv_bench: Any, tiny: Path) -> Callable[..., Any]:
    command = ("run", "--model", tiny, "--allocator", "uniform", "--ratio", "0.5", "--db", "out.db")
    return lambda *more: lukv_bench(*command, *more)


@pytest.fixture
def notes(home: Path) -> Path:
    path = Path("notes.jsonl")
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


@pytest.fixture
def prefills(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    real = worker.read_context

    def read_context(*arguments: Any) -> Any:
        counts["prefill"] += 1
        return real(*arguments)

    monkeypatch.setattr(worker, "read_context", read_context)
    return counts


def test_rows_are_a_task_whose_questions_share_their_context(
    run: Callable[..., Any], notes: Path, prefills: Counter[str], query: Any
) -> None:
    ended = run("--data", notes, "--json")
    assert ended.code == 0, ended.err
    assert "notes: 3 questions on 2 contexts, scored by --metric contains" in ended.err
    assert [(row["task"], row["status"], row["n"]) for row in ended.rows] == [("notes", "complete", 3)] * 2
    assert prefills["prefill"] == 2
    assert query("SELECT family, metric, summary FROM task") == [
        ("own", "string_match_all", "own documents: 3 questions on 2 contexts")
    ]
    together = query(ANSWERS)
    assert len(together) == 6
    assert "0 new answers" in run("--data", notes).err

    Path("out.db").unlink()
    one_by_one = [
        {"context": row["context"], "question": question, "answers": references}
        for row in ROWS
        for question, references in zip(
            row.get("questions", [row.get("question")]),
            row["answers"] if "questions" in row else [row["answers"]],
            strict=True,
        )
    ]
    for number, row in enumerate(one_by_one):
        Path(f"one{number}.jsonl").write_text(json.dumps(row))
        assert run("--data", f"one{number}.jsonl").code == 0
    alone = query(ANSWERS.replace("sample.ordinal,", "cell.task,"))
    assert [answer for _, *answer in alone] == [answer for _, *answer in together]


def test_csv_and_text_files_are_asked_alike(run: Callable[..., Any], notes: Path, query: Any) -> None:
    Path("shelf").mkdir()
    Path("shelf/lamp.txt").write_text(LAMP)
    Path("shelf/rope.md").write_text(ROPE)
    Path("notes.csv").write_text('\ufeffcontext_file,question\nshelf/lamp.txt,Why?\nshelf/rope.md,"Why?"\n')
    assert run("--data", "notes.csv").code == 0
    texts = [text for _, _, text, _ in query(ANSWERS)]
    Path("out.db").unlink()
    ended = run("--data", "shelf", "--question", "Why?", "--json")
    assert ended.code == 0, ended.err
    assert {row["task"] for row in ended.rows} == {"shelf"}
    assert [text for _, _, text, _ in query(ANSWERS)] == texts
    assert run("--data", "shelf/lamp.txt", "--question", "Why?", "--question", "When?", "--limit", 1).code == 0
    one = query("SELECT answer.text FROM answer JOIN cell ON cell.id = cell_id WHERE cell.task = 'lamp'")
    assert {text for (text,) in one} == set(texts[:2])


def test_without_answers_the_full_cache_is_the_reference(run: Callable[..., Any], notes: Path, query: Any) -> None:
    """Also where it was not asked for, and where it was answered by an earlier run."""
    ended = run("--data", notes, "--metric", "none", "--no-baselines", "--json")
    assert ended.code == 0, ended.err
    assert "the answers in the data are not used" in ended.err
    assert "the full cache is answered, too" in ended.err
    by_sample: dict[int, dict[str, tuple[str, float]]] = {}
    for ordinal, allocator, text, score in query(ANSWERS):
        by_sample.setdefault(ordinal, {})[allocator] = text, score
    assert [set(answers) for answers in by_sample.values()] == [{"full", "uniform"}] * 3
    for answers in by_sample.values():
        for text, score in answers.values():
            assert score == float(text == answers["full"][0])
    later = run("--data", notes, "--metric", "none", "--ratio", "0.1", "--json")
    assert later.code == 0, later.err
    assert "3 new answers" in later.err or "6 new answers" in later.err
    assert all(row["n_failed"] == 0 for row in later.rows)


def test_no_text_of_the_user_is_stored_unless_that_is_asked_for(
    run: Callable[..., Any], home: Path, query: Any
) -> None:
    Path("secret.jsonl").write_text(json.dumps({"context": LAMP, "question": "Zanzibar?", "answers": "mahogany"}))
    Path("open.txt").write_text(ROPE)
    assert run("--data", home / "work" / "secret.jsonl").code == 0
    assert run("--data", "open.txt", "--question", "Zanzibar?").code == 0
    stored = Path("out.db").read_bytes()
    for text in (LAMP[:30], ROPE[:30], "Zanzibar", "mahogany", str(home)):
        assert text.encode() not in stored, text
    assert b"(not recorded)" in stored
    assert run("--data", "secret.jsonl", "--redo", "--keep-prompts").code == 0
    ((prompt, references),) = query("SELECT prompt, reference_answers FROM sample WHERE task = 'secret'")
    assert LAMP in prompt
    assert json.loads(references) == ["mahogany"]


def test_a_sweep_file_and_python_ask_the_same(run: Callable[..., Any], notes: Path, tiny: Path, query: Any) -> None:
    Path("shelf.txt").write_text(LAMP)
    Path("sweep.yaml").write_text("data: shelf.txt\nquestion: ['Who, then?', 'When?']\nmetric: none\n")
    assert "2 questions on 1 context," in run("--config", "sweep.yaml").err
    before = query(ANSWERS)
    frame = lb.run(
        model=str(tiny), allocator="uniform", ratio=0.5, db="out.db", progress=False, data="shelf.txt",
        question=iter(["Who, then?", "When?"]),
    )  # fmt: skip
    assert query(ANSWERS) == before
    assert list(frame["n"]) == [2, 2]
    forecast = run("--data", notes, "--dry-run", "--json")
    assert forecast.code == 0, forecast.err
    assert "notes" in forecast.out
    assert query("SELECT count(*) FROM cell WHERE task = 'notes'") == [(0,)]


def test_a_shard_has_whole_contexts(run: Callable[..., Any], notes: Path, query: Any) -> None:
    assert run("--data", notes, "--shard", "1/2").code == 0
    first = {ordinal for ordinal, *_ in query(ANSWERS)}
    assert first in ({0, 1}, {2})
    assert run("--data", notes, "--shard", "2/2").code == 0
    assert {ordinal for ordinal, *_ in query(ANSWERS)} == {0, 1, 2}


REFUSED = [
    (("--data", "gone.jsonl"), "--data gone.jsonl is no file or folder"),
    (("--data", "notes.jsonl", "--metric", "bleu"), "--metric is exact or contains"),
    (("--data", "notes.jsonl", "--tasks", "vt"), "either --tasks or --data"),
    (("--data", "notes.jsonl", "--samples", "."), "either --samples or --data"),
    (("--data", "notes.jsonl", "--data-dir", "."), "either --data-dir or --data"),
    (("--data", "notes.jsonl", "--length", "512"), "--length does not apply to notes"),
    (("--data", "notes.jsonl", "--include", "{tasks: vt}"), "--include names tasks"),
    (("--data", "notes.jsonl", "--question", "Why?"), "have questions of their own"),
    (("--data", "notes.jsonl", "--data-name", "vt"), "the name of a benchmark task"),
    (("--metric", "f1"), "--metric goes with --data"),
    (("--question", "Why?"), "--question goes with --data"),
    (("--data", "broken.jsonl"), "broken.jsonl, line 2: not valid JSON"),
    (("--data", "long.jsonl"), "long.jsonl, line 2: sample 1 of long takes"),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_asked_is_refused_before_anything_is_done(
    refused: Callable[..., str], notes: Path, tiny: Path, arguments: tuple[Any, ...], reason: str
) -> None:
    row = json.dumps(ROWS[1])
    Path("broken.jsonl").write_text(row + "\n{")
    Path("long.jsonl").write_text(row + "\n" + json.dumps(ROWS[1] | {"context": "lamp " * 9000}))
    sentence = refused(["run", "--model", tiny, "--ratio", "0.5", *arguments], reason)
    if "long" in reason:
        assert "shorten its text" in sentence
