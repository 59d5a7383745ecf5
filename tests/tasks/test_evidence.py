"""Which characters of a context a task marks as evidence, against what a reader of the context finds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.tasks.catalog import expand
from lukv_bench.tasks.document import Document, facets
from lukv_bench.tasks.evidence import evidence_spans, verbatim_spans
from lukv_bench.tasks.load import LoadedTask

Load = Callable[..., LoadedTask]
NEEDLES = [name for name in expand(["ruler"]) if name.startswith("niah_")] + ["needle_grid_0", "needle_grid_100"]


def marked(document: Document) -> list[str]:
    return [document["context"][start:end] for start, end in evidence_spans(document)]


@pytest.mark.parametrize("name", NEEDLES)
def test_the_needles_that_are_asked_for_are_marked_whole_and_no_others(load: Load, name: str) -> None:
    for document in load(name).documents:
        sentences = re.findall(r"One of the special magic \w+ for \S+ is: \S+\.(?=\s|$)", document["context"])
        asked = [sentence for sentence in sentences if any(value in sentence for value in document["outputs"])]
        assert marked(document) == asked
        assert len(asked) == len(document["outputs"])
        assert dict(document)["copied"] == document["outputs"]


def test_every_assignment_of_the_chain_is_marked_and_none_of_the_example(load: Load) -> None:
    for document in load("vt").documents:
        spans = marked(document)
        assert [span.split(" = ")[0].removeprefix("VAR ") for span in spans] == document["outputs"]
        value = re.findall(r"\d+", document["question"])[0]
        assert spans[0] == f"VAR {document['outputs'][0]} = {value}"
        for before, after in zip(document["outputs"], spans[1:], strict=False):
            assert after.endswith(f" = VAR {before}")


@pytest.mark.parametrize(("name", "heading"), [("qa_1", ""), ("qa_2", "Title")])
def test_answers_are_marked_in_the_questions_own_documents(load: Load, name: str, heading: str) -> None:
    for index, document in enumerate(load(name, limit=3).documents):
        spans, context = evidence_spans(document), document["context"]
        assert [context[start:end] for start, end in spans] == [document["outputs"][0]]
        own = context[context.rindex("Document ", 0, spans[0][0]) : spans[0][1]]
        assert heading in own
        assert "copied" not in document, index


def test_tasks_that_do_not_know_where_the_answer_stands_mark_nothing(load: Load) -> None:
    for name in ("cwe", "fwe"):
        for document in load(name, length=4096).documents:
            assert evidence_spans(document) == []


def test_answers_are_marked_in_a_rows_text_and_not_in_the_instruction(load: Load, tmp_path: Path) -> None:
    answers = ["unanswerable", "A blue Lamp", "no", "12"]
    row = {"context": "no lamp 124. A blue Lamp; 12, a blue lamp", "input": "A blue Lamp?", "answers": answers}
    (tmp_path / "qasper.jsonl").write_text(json.dumps(row | {"all_classes": None, "length": 9, "_id": "x"}))
    (document,) = load("longbench_qasper", length=None, limit=1, data_dir=tmp_path).documents
    assert marked(document) == ["A blue Lamp", "12"]


def test_rulers_own_files_are_marked_too(load: Load, shared_data: Path) -> None:
    for document in load("niah_multikey_3", length=4096, limit=5, data_dir=shared_data / "ruler").documents:
        (needle,) = marked(document)
        key = re.findall(r"magic uuid for (\S+) ", document["question"])[0]
        assert needle == f"One of the special magic uuids for {key} is: {document['outputs'][0]}."


@pytest.mark.parametrize("name", ["niah_multivalue", "vt", "qa_1"])
def test_answers_are_not_grouped_by_evidence(load: Load, name: str) -> None:
    document = dict(load(name).documents[0])
    assert not {"evidence", "copied"} & facets(document).keys()


def brute_spans(context: str, answers: list[str]) -> list[list[int]]:
    """Character by character: which belong to an answer that stands there as whole words; runs that overlap join."""
    found = set()
    for answer in (answer.strip() for answer in answers):
        for at in range(len(context)):
            whole = context[at : at + len(answer)] == answer and any(c.isalnum() for c in answer)
            before, after = context[:at][-1:], context[at + len(answer) :][:1]
            cut = (before.isalnum() and answer[:1].isalnum()) or (after.isalnum() and answer[-1:].isalnum())
            if whole and not cut and answer.lower() not in {"yes", "no", "unanswerable"}:
                found.add((at, at + len(answer)))
    while overlapping := [(a, b) for a in found for b in found if a < b and b[0] < a[1]]:
        a, b = overlapping[0]
        found = found - {a, b} | {(a[0], max(a[1], b[1]))}
    return [list(span) for span in sorted(found)]


@given(st.text("ab1 .", max_size=24), st.lists(st.text("ab1 .", max_size=4), max_size=3))
def test_verbatim_spans_are_what_a_search_at_every_character_finds(context: str, answers: list[str]) -> None:
    assert verbatim_spans(context, answers) == brute_spans(context, answers)


def test_words_of_chinese_are_parted_by_nothing() -> None:
    assert verbatim_spans("灯塔在北方。", ["北"]) == [[3, 4]]


def test_a_search_stays_in_its_part_of_the_context() -> None:
    text: Any = "lamp lamp lamp"
    assert verbatim_spans(text, ["lamp"], 1, 12) == [[5, 9]]
