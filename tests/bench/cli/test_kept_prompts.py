"""`run --keep-prompts` stores what the model was asked."""

from typing import Any

import pytest


@pytest.fixture
def alone(command: list[Any], slow: Any, tiny: Any) -> list[Any]:
    """One configuration of a model whose answers are short."""
    return [*(tiny if word == slow else word for word in command), "--no-baselines"]


def test_prompts_are_stored_on_request_alone(alone: list[Any], lukv_bench: Any, query: Any) -> None:
    one = [*alone[: alone.index("--limit") + 1], "1", *alone[alone.index("--limit") + 2 :]]
    assert lukv_bench(*one).code == 0
    assert query("SELECT prompt FROM sample") == [(None,)]
    assert lukv_bench(*alone, "--keep-prompts").code == 0
    prompts = [prompt for (prompt,) in query("SELECT prompt FROM sample ORDER BY ordinal")]
    assert prompts[0] is None, "the first sample was answered without"
    assert len(prompts) == 4
    assert all("special magic" in prompt for prompt in prompts[1:])
    ids = query("SELECT id FROM configuration")
    assert len(ids) == 1, "it is the same configuration"


def test_an_answer_given_again_brings_its_prompt(alone: list[Any], lukv_bench: Any, query: Any) -> None:
    assert lukv_bench(*alone).code == 0
    assert lukv_bench(*alone, "--redo", "--keep-prompts").code == 0
    assert query("SELECT count(*) FROM sample WHERE prompt IS NULL") == [(0,)]
