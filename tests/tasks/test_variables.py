"""RULER's variable tracking: the chain is whole, in order, and the only one of its value."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.ruler.wording import NOISE
from lukv_bench.tasks.scoring import score_answers

Load = Callable[..., LoadedTask]
STATEMENT = re.compile(r"VAR (\w+) = (?:VAR (\w+)|(\d+))")


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


def variables_of(text: str, value: str) -> list[str]:
    """What a reader finds who carries the assignments out from top to bottom."""
    held: dict[str, str] = {}
    for name, other, number in STATEMENT.findall(text):
        assert name not in held, "assigned twice"
        held[name] = number or held[other]
    return [name for name, holds in held.items() if holds == value]


@given(st.integers(800, 6000), st.integers(0, 2**40), st.sampled_from(["pieces", "quarters"]))
@settings(max_examples=40, deadline=None)
def test_the_references_are_the_variables_that_hold_the_value(load: Load, length: int, seed: int, counter: str) -> None:
    for document in documents(load("vt", counter, length=length, seed=seed)):
        (value,) = re.findall(r"assigned the value (\d{5}) in the text above\.$", document["question"])
        assert variables_of(document["context"], value) == document["outputs"]
        assert len(set(document["outputs"])) == 5
        assert all(re.fullmatch("[A-Z]{5}", name) for name in document["outputs"])
        assert document["answer_prefix"].endswith(f"5 variables are assgined the value {value}, they are:")


def test_the_worked_example_has_its_own_chain_and_the_right_answer(load: Load) -> None:
    for document in documents(load("vt", limit=5)):
        example, own = document["context"].split("\n\n\n\n")
        (value,) = re.findall(r"assigned the value (\d{5}) in", example)
        assert variables_of(example, value) == example.rpartition("they are:  ")[2].split(" ")
        assert value not in document["question"]
        assert not set(variables_of(example, value)) & set(document["outputs"])
        assert own.startswith("Memorize and track the chain(s)")


def test_statements_stand_in_order_between_lines_of_noise(load: Load) -> None:
    for document in documents(load("vt", limit=20, length=800)):
        own = document["context"].split("\n\n\n\n")[1].split("\n\n", 1)[1]
        assert re.sub(r" +", " ", STATEMENT.sub("", own)).replace("\n", " ").split() == NOISE.split() * own.count(NOISE)
        between = STATEMENT.split(own)[4:-1:4]
        assert all(NOISE in text for text in between), "at least one line apart"


def test_chains_are_spread_over_the_whole_text(load: Load) -> None:
    places = []
    for document in documents(load("vt", limit=60, length=2048)):
        own = document["context"].split("\n\n\n\n")[1]
        places += [match.start() / len(own) for match in STATEMENT.finditer(own)]
    for tenth in range(1, 10):
        assert 0.03 < sum(tenth <= 10 * place < tenth + 1 for place in places) / len(places) < 0.2


@pytest.mark.parametrize("found", range(6))
def test_the_score_is_the_share_of_variables(load: Load, found: int) -> None:
    (document,) = documents(load("vt", limit=1))
    text = ", ".join(document["outputs"][:found])
    assert score_answers(document, [text])["score"] == pytest.approx(found / 5)
