"""The line on what takes a length, for samples of every size."""

from types import SimpleNamespace
from typing import Any

import pytest

from lukv_bench.bench.run.contexts import context_notes


def samples_of(n_context: int, n_question: int, n_answer: int) -> Any:
    """A sample set of which the note reads the first sample and the task."""
    return SimpleNamespace(
        first=SimpleNamespace(context=range(n_context), question=range(n_question)),
        task=SimpleNamespace(length=100, info=SimpleNamespace(max_new_tokens=n_answer)),
        protocol="agnostic",
    )


@pytest.mark.parametrize(
    ("contexts", "end"),
    [
        ((70,), "too"),
        ((60,), "too; 10 stay empty"),
        ((60, 70), "too; 0 to 10 stay empty"),
        ((90,), "too; some samples are up to 20 tokens longer than that"),
        ((65, 90), "too; 0 to 5 stay empty; some samples are up to 20 tokens longer than that"),
    ],
)
def test_samples_that_are_longer_than_asked_for_are_told(contexts: tuple[int, ...], end: str) -> None:
    plan: Any = SimpleNamespace(sample_sets=[samples_of(n, 10, 20) for n in contexts])
    (note,) = context_notes(plan)
    assert note.endswith(f"20 kept free for the answer count, {end}")
