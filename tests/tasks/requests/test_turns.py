"""A dialogue repeats the earlier questions with their right answers, and tells no answer before it is asked."""

from collections.abc import Callable
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.tasks.document import later_turns
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.requests.documents import first_turn

Load = Callable[..., LoadedTask]


def test_turns_are_the_earlier_questions_and_their_right_answers(load: Load) -> None:
    for context in range(4):
        documents: list[Any] = list(load("turns", length=2048, limit=20).documents)[5 * context : 5 * context + 5]
        for number, document in enumerate(documents, start=1):
            turns = later_turns(document)
            assert document["turn"] == number
            assert document["question"] == documents[0]["question"]
            assert [turn["role"] for turn in turns] == ["assistant", "user"] * (number - 1)
            assert turns[: len(turns) - 2] == later_turns(documents[number - 2]) if number > 1 else not turns
            for earlier, answer in zip(documents, turns[::2], strict=False):
                assert answer["content"].startswith(earlier["answer_prefix"])
                assert all(right in answer["content"] for right in earlier["outputs"])
            if document["kind"] != "count":
                said = " ".join(turn["content"] for turn in turns)
                codes = [one for one in document["outputs"] if one.isdigit()]
                assert not any(code in said for code in codes), "no earlier turn tells the code that is asked for"


def test_lm_eval_renders_no_dialogue_without_its_turns(load: Load) -> None:
    first, second = load("turns", length=2048, limit=2).documents
    assert first_turn(first) == first["context"] + first["question"]
    with pytest.raises(UserError, match=r"^sample 1 of turns is a dialogue of several turns"):
        first_turn(second)
