"""LongBench v2: four choices, one letter."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.scoring import score_prediction

Load = Callable[..., LoadedTask]
Write = Callable[..., Path]


def row(**fields: object) -> dict[str, object]:
    made: dict[str, object] = {
        "_id": "66f",
        "domain": "Code Repository Understanding",
        "sub_domain": "Code repo QA",
        "difficulty": "hard",
        "length": "short",
        "question": " Which {choice_A}? \n",
        "choice_A": "one",
        "choice_B": " two",
        "choice_C": "$DOC$",
        "choice_D": "{context}",
        "answer": "B",
        "context": "\n The {{text}}. \n",
    }
    return made | fields


def documents(task: LoadedTask) -> list[dict[str, Any]]:
    return [dict(document) for document in task.documents]


def test_a_prompt_holds_every_part_stripped_and_is_cut_behind_the_text(load: Load, write: Write) -> None:
    loaded = load("longbench_v2", data_dir=write("longbench_v2", [row()]))
    template = read_definition(definition_files()["longbench_v2"])["metadata"]["template"]
    stripped = {key: str(value).strip() for key, value in row().items()}
    (document,) = documents(loaded)
    assert document["context"] + document["question"] == template.format(**stripped)
    assert document["context"].endswith("<text>\nThe {{text}}.")
    assert document["outputs"] == ["B"]
    assert (document["difficulty"], document["length"], document["id"]) == ("hard", "short", "66f")


def test_lengths_are_tasks_of_their_own_and_together_the_whole(load: Load, write: Write) -> None:
    lengths = ["short", "long", "medium", "short", "long", "long"]
    folder = write("data", [row(length=length, _id=str(i)) for i, length in enumerate(lengths)])
    parts = {part: documents(load(f"longbench_v2_{part}", data_dir=folder)) for part in ("short", "medium", "long")}
    assert {part: [d["id"] for d in docs] for part, docs in parts.items()} == {
        "short": ["0", "3"],
        "medium": ["2"],
        "long": ["1", "4", "5"],
    }
    assert [document["index"] for document in parts["long"]] == [0, 1, 2]
    assert [d["id"] for d in documents(load("longbench_v2", data_dir=folder))] == list("012345")
    assert [d["id"] for d in documents(load("longbench_v2_long", limit=2, data_dir=folder))] == ["1", "4"]


def test_a_part_without_rows_is_told(load: Load, write: Write) -> None:
    with pytest.raises(UserError, match="no row of the data is of length 'medium'"):
        load("longbench_v2_medium", data_dir=write("data", [row()]))


@pytest.mark.parametrize("answer", ["E", "", "AB", "a"])
def test_an_answer_that_is_no_choice_is_told(load: Load, write: Write, answer: str) -> None:
    with pytest.raises(UserError, match=r"longbench_v2, row 1: 'answer' must be A, B, C or D"):
        documents(load("longbench_v2", data_dir=write("longbench_v2", [row(answer=answer)])))


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("The correct answer is (C).", "C"),
        ("**The correct answer is (C)**", "C"),
        ("The correct answer is **(C)**", "C"),
        ("The correct answer is C", "C"),
        ("The correct answer is Cologne", "C"),
        ("I think so.\nThe correct answer is (B), not (C)", "B"),
        ("The correct answer is A... The correct answer is (C)", "C"),
        ("the correct answer is (C)", None),
        ("(C)", None),
        ("The correct answer is (E)", None),
        ("", None),
    ],
)
def test_the_letter_is_taken_as_the_original_takes_it(said: str, letter: str | None) -> None:
    for right in "ABCD":
        assert score_prediction("longbench_v2_short", said, [right], []) == float(letter == right)


@given(st.lists(st.sampled_from(["The correct answer is ", "(A)", "B", "*", "(", ")", "D", "\n"])).map("".join))
def test_letters_agree_with_the_two_patterns_of_the_original(said: str) -> None:
    plain = said.replace("*", "")
    found = re.findall(r"The correct answer is \(([A-D])\)", plain) + re.findall(
        r"The correct answer is ([A-D])", plain
    )
    scores = {right for right in "ABCD" if score_prediction("longbench_v2", said, [right], [])}
    assert scores == set(found[:1])


def test_what_is_only_reported_may_be_missing(load: Load, write: Write) -> None:
    bare = {key: value for key, value in row().items() if key not in ("_id", "difficulty", "length", "domain")}
    (document,) = documents(load("longbench_v2", data_dir=write("longbench_v2", [bare])))
    assert (document["id"], document["difficulty"], document["length"]) == ("", "", "")
    with pytest.raises(UserError, match="row 1 has no 'length'"):
        load("longbench_v2_short", data_dir=write("longbench_v2", [bare]))
