"""All of RULER and the needle grid fill the length they are asked for and never exceed it, with any tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.catalog import expand, task_info
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask

Load = Callable[..., LoadedTask]
Count = Callable[[str, str], int]
TASKS = expand(["ruler", "needle_grid_30"])
COUNTERS = ["pieces", "quarters", "bpe"]
LEAST = {
    "pieces": {"vt": 600, "cwe": 600, "qa_2": 700},
    "quarters": {"vt": 600, "cwe": 600, "qa_2": 900},
    "bpe": {"fwe": 600, "vt": 700, "cwe": 5000, "qa_2": 1400},  # trained without English words: ten tokens for one
}
"""Tasks that 512 tokens cannot hold, and about what they need."""


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


def one_unit(name: str, count: Count, document: Any) -> int:
    """Tokens of the dearest line, document or word that could have been put in, and a little for its joints."""
    text = document["context"]
    if name.startswith("qa_"):
        return max(count(part, "") for part in text.split("\n\n")) - count("", "") + 60
    if name in ("cwe", "fwe"):
        return 40  # one more word, at most three times
    return max(count(line, "") for line in set(text.split("\n"))) - count("", "") + 3


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("length", [512, 1000, 4096])
def test_prompts_fill_their_length(
    load: Load, counters: dict[str, Count], name: str, counter: str, length: int
) -> None:
    count = counters[counter]
    room = length - task_info(name).max_new_tokens
    if length < LEAST[counter].get(name, 512):
        with pytest.raises(UserError, match=rf"^{name} does not fit into {length} tokens"):
            documents(load(name, counter, length=length))
        return
    for document in documents(load(name, counter, length=length)):
        left = room - count(user_text(document), document["answer_prefix"])
        essays = task_info(name).needs_essays
        assert 0 <= left <= max(0.05 * room, 0 if essays else one_unit(name, count, document))


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith("qa_")])
def test_long_prompts_too(load: Load, counters: dict[str, Count], name: str, counter: str) -> None:
    room = 32_768 - task_info(name).max_new_tokens
    (document,) = documents(load(name, counter, length=32_768, limit=1))
    assert 0.95 * room <= counters[counter](user_text(document), document["answer_prefix"]) <= room


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize(("name", "folder"), [("qa_1", "squad"), ("qa_2", "ruler")])
def test_long_questions_over_real_documents(
    load: Load, counters: dict[str, Count], shared_data: Path, name: str, folder: str, counter: str
) -> None:
    room = 32_768 - task_info(name).max_new_tokens
    (document,) = documents(load(name, counter, data_dir=shared_data / folder, length=32_768, limit=1))
    left = room - counters[counter](user_text(document), document["answer_prefix"])
    assert 0 <= left <= max(0.05 * room, one_unit(name, counters[counter], document))


@given(st.sampled_from(TASKS), st.integers(2600, 8192), st.integers(0, 2**40), st.sampled_from(["pieces", "quarters"]))
@settings(max_examples=60, deadline=None)
def test_any_length_and_seed(
    load: Load, counters: dict[str, Count], name: str, length: int, seed: int, counter: str
) -> None:
    room = length - task_info(name).max_new_tokens
    for document in documents(load(name, counter, length=length, seed=seed)):
        assert 0.9 * room <= counters[counter](user_text(document), document["answer_prefix"]) <= room
