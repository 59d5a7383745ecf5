"""Own documents as tasks: every way to write the same questions, and every way to get them wrong."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.tasks.catalog import names
from lukv_bench.tasks.own.data import OwnData, own_data

LAMP = "The keeper lit the lamp, at dusk.\nThe boat came at nine."
ROPE = 'Another text, about "rope".'
ASKED = [
    (LAMP, "Who lit the lamp?", ("the keeper",)),
    (LAMP, "When?", ("nine", "at nine")),
    (ROPE, "Of what?", ("rope",)),
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode())
        else:
            path.write_text("\n".join(map(json.dumps, content)) + "\n")
        return path

    return write


def read(path: Path, *questions: str, metric: str | None = None, name: str | None = None) -> OwnData:
    return own_data(path, questions, metric, name)


def asked(data: OwnData) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(question.context, question.text, question.answers) for question in data.questions]


def as_jsonl(write: Any) -> Path:
    rows = [
        {"context": LAMP, "questions": ["Who lit the lamp?", "When?"], "answers": ["the keeper", ["nine", "at nine"]]},
        {"context": ROPE, "question": "Of what?", "answers": "rope"},
    ]
    return write("notes.jsonl", rows)


def as_single_rows(write: Any) -> Path:
    rows = [{"context": text, "question": question, "answers": list(answers)} for text, question, answers in ASKED]
    return write("notes.jsonl", rows)


def as_csv(write: Any) -> Path:
    path = write("notes.csv", "")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["context", "question", "answers"])
        for text, question, answers in ASKED:
            writer.writerow([text, question, json.dumps(answers) if len(answers) > 1 else answers[0]])
    return path


def as_csv_with_files(write: Any) -> Path:
    write("texts/lamp.txt", "\ufeff" + LAMP.replace("\n", "\r\n"))
    return write(
        "notes.csv",
        "context_file,context,questions,answers\r\n"
        'texts/lamp.txt,,"[""Who lit the lamp?"", ""When?""]","[""the keeper"", [""nine"", ""at nine""]]"\r\n'
        "\r\n"
        ',"Another text, about ""rope"".","[""Of what?""]","[""rope""]"\r\n',
    )


@pytest.mark.parametrize("form", [as_jsonl, as_single_rows, as_csv, as_csv_with_files])
def test_the_same_questions_however_they_are_written(write: Any, form: Callable[[Any], Path]) -> None:
    data, plain = read(form(write)), read(as_jsonl(write))
    assert asked(data) == ASKED
    assert data.contexts == (0, 0, 1)
    assert (data.info.name, data.info.version, data.revision) == ("notes", plain.info.version, plain.revision)


def test_text_files_are_asked_every_question(write: Any, tmp_path: Path) -> None:
    write("shelf/b.md", ROPE)
    write("shelf/a.TXT", LAMP)
    write("shelf/c.pdf", b"%PDF")
    write("shelf/.hidden.txt", "not read")
    write("shelf/below/d.txt", "not read")
    data = read(tmp_path / "shelf", "One?", " Two, then? ")
    assert asked(data) == [(text, question, ()) for text in (LAMP, ROPE) for question in ("One?", "Two, then?")]
    assert data.unused == ("c.pdf",)
    assert (data.info.name, data.info.needs_full) == ("shelf", True)
    assert asked(read(tmp_path / "shelf" / "a.TXT", "One?")) == [(LAMP, "One?", ())]


def test_a_prompt_is_the_text_and_the_question_as_they_are(write: Any) -> None:
    document = read(as_jsonl(write)).document(1)
    assert document["context"] + document["question"] == LAMP + "\n\nWhen?"
    assert document["outputs"] == ["nine", "at nine"]
    assert read(as_jsonl(write), metric="none").document(1)["outputs"] == []


def test_the_version_tells_contents_and_metrics_apart(write: Any) -> None:
    rows = [{"context": LAMP, "question": "When?", "answers": "nine"}]
    versions = {read(write("a.jsonl", rows), metric=metric).info.version for metric in ("f1", "exact", "none")}
    for change in ({"context": ROPE}, {"question": "Who?"}, {"answers": "ten"}, {"answers": ["nine", "ten"]}):
        versions.add(read(write("a.jsonl", [rows[0] | change]), metric="f1").info.version)
    versions.add(read(write("a.jsonl", rows * 2), metric="f1").info.version)
    assert len(versions) == 8


@pytest.mark.parametrize(
    ("file", "given", "name"),
    [("My notes (2).jsonl", None, "My_notes_2"), ("заметки.jsonl", None, "заметки"), ("a.jsonl", "b-1.x", "b-1.x")],
)
def test_the_name_is_the_files(write: Any, file: str, given: str | None, name: str) -> None:
    assert read(write(file, [{"context": LAMP, "question": "When?"}]), name=given).info.name == name


def test_own_tasks_are_in_no_list() -> None:
    assert not [name for name in names() if name.startswith("own")]


ROW = {"context": LAMP, "question": "When?"}
BROKEN_ROWS = [
    ({"question": "When?"}, "no context; give it as 'context' or 'context_file'"),
    (ROW | {"context": None}, "no context"),
    (ROW | {"context": " \n"}, "'context' is empty"),
    (ROW | {"context": 7}, "'context' must be a text in quotes, not the number 7"),
    (ROW | {"context_file": "x.txt"}, "both 'context' and 'context_file'"),
    ({"context": LAMP}, "no question; give it as 'question' or 'questions'"),
    (ROW | {"question": ""}, "'question' is empty"),
    (ROW | {"question": ["a"]}, "'question' must be a text in quotes, not a list"),
    ({"context": LAMP, "questions": []}, "'questions' must be a list of texts, not an empty list"),
    ({"context": LAMP, "questions": "When?"}, "'questions' must be a list of texts, not a text"),
    ({"context": LAMP, "questions": ["a", ""]}, "question 2 is empty"),
    ({"context": LAMP, "questions": ["a", "b"], "answers": ["x"]}, "for each of 2 questions, not 1 of them"),
    ({"context": LAMP, "questions": ["a", "b"], "answers": "x"}, "for each of 2 questions, not a text"),
    (ROW | {"answers": 42}, "an answer must be a text in quotes, not the number 42"),
    (ROW | {"answers": ["x", " "]}, "an answer is empty"),
    (ROW | {"answer": "nine"}, "unknown key 'answer': did you mean 'answers'?"),
    (ROW | {"id": 7}, "unknown key 'id': known are context,"),
    ([1], "a JSON object such as {...} is expected, not [1]"),
    ({"question": "When?", "context_file": "missing.txt"}, "missing.txt is not there"),
    ({"question": "When?", "context_file": "."}, "is no ordinary file"),
    ({"question": "When?", "context_file": "empty.txt"}, "holds no text to ask about"),
    ({"question": "When?", "context_file": "../notes.jsonl"}, "is outside of"),
    ({"question": "When?", "context_file": "/etc/hostname"}, "is outside of"),
    ({"question": "When?", "context_file": "link.txt"}, "is outside of"),
    ({"question": "When?", "context_file": "a\0b"}, "cannot be a file"),
    ({"question": "When?", "context_file": "latin.txt"}, "latin.txt, line 2: not UTF-8 text"),
]


@pytest.mark.parametrize(("row", "reason"), BROKEN_ROWS, ids=lambda value: str(value)[:40])
def test_a_broken_row_is_named_by_file_and_line(write: Any, tmp_path: Path, row: Any, reason: str) -> None:
    write("docs/empty.txt", " \n")
    write("docs/latin.txt", "gut\nschön".encode("latin-1"))
    (tmp_path / "docs" / "link.txt").symlink_to("/etc/hostname")
    path = write("docs/notes.jsonl", json.dumps(ROW) + "\n\n" + json.dumps(row))
    with pytest.raises(UserError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, line 3: ")
    assert reason in str(refused.value)
    assert str(refused.value).count("\n") == 0


BROKEN_FILES = [
    ("a.jsonl", b"", "holds no rows"),
    ("a.jsonl", b"\n \n", "holds no rows"),
    ("a.jsonl", b'{"context": "a"', "line 1: not valid JSON"),
    ("a.jsonl", json.dumps(ROW).encode() + b'\n{"context": "\\ud800", "question": "q"}', "line 2: a text holds"),
    ("a.jsonl", json.dumps(ROW).encode() + b"\n\xff\xfe", "line 2: not UTF-8 text"),
    ("a.jsonl", b"[" * 100_000, "line 1: the JSON is nested too deeply"),
    ("a.csv", b"", "holds no rows"),
    ("a.csv", b"context,question\n", "holds no rows"),
    ("a.csv", b"context;question\na;b\n", "line 1: unknown column 'context;question'"),
    ("a.csv", b"contxt,question\na,b\n", "line 1: unknown column 'contxt': did you mean 'context'?"),
    ("a.csv", b"context,question,question\na,b,c\n", "line 1: the column 'question' is named twice"),
    ("a.csv", b'context,question\n"two\nlines",a\na, b, c\n', "line 4: 3 fields where the first line names 2"),
    ("a.csv", b'context,question\na,"b\n', "line 2: not valid CSV"),
    ("a.csv", b"context,question\na,\n", "line 2: no question"),
    ("a.csv", b"context,questions\na,[1\n", "line 2, questions: not valid JSON"),
    ("a.csv", b"context,question\na,b\n\xff,b\n", "line 3: not UTF-8 text"),
    ("a.json", b"[]", "is of no kind that is read"),
    ("a.pdf", b"%PDF", "is of no kind that is read"),
    ("a.txt", b"text", "holds text and no questions; ask some with --question"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BROKEN_FILES, ids=lambda value: str(value)[:30])
def test_a_broken_file_is_refused_in_one_sentence(write: Any, name: str, content: bytes, reason: str) -> None:
    path = write(name, content)
    with pytest.raises(UserError) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 400


def test_what_does_not_go_together_is_refused(write: Any, tmp_path: Path) -> None:
    path = as_jsonl(write)
    with pytest.raises(UserError, match=r"the rows of notes\.jsonl have questions of their own"):
        read(path, "One?")
    with pytest.raises(UserError, match="line 1: no answers, which --metric f1 compares with"):
        read(write("a.jsonl", [ROW]), metric="f1")
    with pytest.raises(UserError, match="--question number 2 is empty"):
        read(write("a.txt", LAMP), "One?", " ")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"holds no \.txt or \.md file"):
        read(tmp_path / "none", "One?")
    for name in ("", "a b", "a,b", "-x", "x" * 101):
        with pytest.raises(UserError, match="--data-name takes letters"):
            read(path, name=name)
    for name in ("niah_single_1", "ruler", "longbench"):
        with pytest.raises(UserError, match="is the name of a benchmark task"):
            read(path, name=name)


def test_a_row_of_ten_megabytes_is_read(write: Any) -> None:
    text = "lamp " * 2_000_000
    assert asked(read(write("a.jsonl", [{"context": text, "question": "When?"}]))) == [(text, "When?", ())]
    before = csv.field_size_limit()
    assert asked(read(write("a.csv", f"context,question\n{text},When?\n"))) == [(text, "When?", ())]
    assert csv.field_size_limit() == before


def test_answers_that_stand_in_the_text_are_marked_and_those_that_are_expected_are_to_be_copied(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    context = "The boat came at nine. The goat slept."
    rows = [
        {"context": context, "question": "When?", "answers": ["nine"]},
        {"context": context, "question": "Who?", "answers": ["The goat", "The boat"]},
        {"context": context, "question": "Where?", "answers": ["nowhere"]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    expected, any_of = (own_data(path, (), metric, None) for metric in ("contains", "f1"))
    marks = [[context[start:end] for start, end in expected.document(index)["evidence"]] for index in range(3)]
    assert marks == [["nine"], ["The boat", "The goat"], []]
    assert [expected.document(index).get("copied") for index in range(3)] == [["nine"], ["The goat", "The boat"], None]
    assert [any_of.document(index).get("copied") for index in range(3)] == [["nine"], None, None]
