"""Every answer is what a plain reader of the context finds; samples share contexts and depend on nothing else."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.catalog import task_info
from lukv_bench.tasks.document import facets, later_turns, user_text
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.scoring import reference_text, score_answer

from .reader import Reader

Load = Callable[..., LoadedTask]
TASKS = ("requests_digits", "requests_uuid", "requests_64", "turns")
KINDS = ["value", "key", "variable", "count", "order", "list", "near", "category", "copy", "frequent"]
FORMS = {
    "requests_digits": r"[1-9]\d{6}",
    "requests_uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "requests_64": r"[1-9]\d{63}",
    "turns": r"[1-9]\d{6}",
}


def asked(document: Any) -> str:
    """The question that a document's answer is to."""
    turns = later_turns(document)
    last = turns[-1]["content"] if turns else document["question"].removeprefix("\n\n")
    return last.removeprefix("Question: ")


def check(name: str, document: Any) -> None:
    """Answers, marks and first words of a document against the reader."""
    context, kind = document["context"], document["kind"]
    reader = Reader(context)
    assert document["outputs"] == reader.answers(kind, asked(document)), kind
    if kind in ("value", "near", "variable", "list"):
        assert all(re.fullmatch(FORMS[name], answer) for answer in document["outputs"])
    lines = [context[start:end] for start, end in document["evidence"]]
    assert lines
    assert set(lines) <= set(reader.lines), "evidence is whole notes"
    if kind != "count":
        assert all(any(answer in line for line in lines) for answer in document["outputs"])
    else:
        assert len(lines) == int(document["outputs"][0])
    is_choice = kind in ("count", "order", "category", "frequent")
    assert document.get("copied") == (None if is_choice else document["outputs"])
    assert bool(document["all_classes"]) == is_choice
    right = reference_text(document)
    assert right is not None
    assert score_answer(document, f" {right}.") == 1
    assert all(answer not in document["answer_prefix"] for answer in document["outputs"])
    if kind == "order":
        stop = str(document["answer_prefix"]).split()[-2].strip(",")
        assert score_answer(document, f" {stop}, then {right}.") == 1, "the stop asked about is no choice"
    if kind == "count":
        assert score_answer(document, f" {right}.5") == 0


@given(
    name=st.sampled_from(TASKS),
    seed=st.integers(0, 2**40),
    length=st.integers(1600, 5000),
    context=st.integers(0, 3),
)
@settings(max_examples=30, deadline=None)
def test_a_plain_reader_finds_every_answer(load: Load, name: str, seed: int, length: int, context: int) -> None:
    n = task_info(name).questions
    loaded = load(name, length=length, seed=seed, limit=n * (context + 1))
    for place in range(n):
        check(name, loaded.documents[n * context + place])


@pytest.mark.parametrize("counter", ["pieces", "quarters", "bpe"])
@pytest.mark.parametrize("name", TASKS)
def test_the_longest_prompt_on_a_context_fills_its_length(
    load: Load, counters: dict[str, Any], name: str, counter: str
) -> None:
    info = task_info(name)
    room = 4096 - info.max_new_tokens
    loaded = load(name, counter, length=4096, limit=info.questions)
    documents = list(loaded.documents)
    sizes = [
        counters[counter](user_text(one), one["answer_prefix"], *([later_turns(one)] if later_turns(one) else []))
        for one in documents
    ]
    longest_note = max(map(len, documents[0]["context"].split("\n")))
    assert room - max(0.01 * room, longest_note) <= max(sizes) <= room


@pytest.mark.parametrize("name", TASKS)
def test_samples_are_the_same_whatever_was_asked_and_read_before(load: Load, name: str) -> None:
    n = task_info(name).questions
    length = 2048
    some, more = load(name, length=length, limit=n + 2), load(name, length=length, limit=3 * n)
    last = some.documents[n + 1]
    assert last == more.documents[n + 1] == list(more.documents)[n + 1]
    assert list(some.documents) == list(more.documents)[: n + 2]
    assert some.contexts == [0] * n + [1] * 2
    other = load(name, length=length, limit=1, seed=1).documents[0]
    assert other["context"] != some.documents[0]["context"]


@pytest.mark.parametrize("name", TASKS)
def test_questions_on_a_context_are_of_different_kinds_and_count_as_one_document(load: Load, name: str) -> None:
    n = task_info(name).questions
    documents = list(load(name, length=2048, limit=2 * n).documents)
    for context in (documents[:n], documents[n:]):
        assert len({one["context"] for one in context}) == 1
        known = [facets(one) for one in context]
        assert len({one["document"] for one in known}) == 1
        kinds = [one["kind"] for one in known]
        assert kinds == KINDS if n == 10 else len(set(kinds)) == n
        assert known[0].keys() == {"document", "kind"} | ({"turn"} if name == "turns" else set())
    assert len({one["context"] for one in documents}) == 2
    assert [one["index"] for one in documents] == list(range(2 * n))


def test_the_three_forms_ask_the_same_of_the_same_names(load: Load) -> None:
    """What sets the tasks apart is the form of their values."""
    by_form = [list(load(name, length=4096, limit=10).documents) for name in TASKS[:3]]
    for kind, *alike in zip(KINDS, *by_form, strict=True):
        if kind != "key":
            assert len({asked(one) for one in alike}) == 1, kind
        if kind not in ("value", "variable", "list", "near"):
            assert len({tuple(one["outputs"]) for one in alike}) == 1, kind


@pytest.mark.parametrize("name", TASKS)
def test_what_is_too_short_names_a_length_that_is_enough(load: Load, name: str) -> None:
    with pytest.raises(UserError, match=rf"^{name} does not fit into 300 tokens: .* 1 context needs .*") as error:
        load(name, length=300, limit=1).documents[0]
    enough = int(re.findall(r"example (\d+)\.$", str(error.value))[0])
    assert len(list(load(name, length=enough, limit=1).documents)) == 1
    assert enough < 1024
