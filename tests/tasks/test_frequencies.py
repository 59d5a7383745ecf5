"""RULER's two counting tasks: the references really are what a reader would count."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench.tasks.load import LoadedTask

Load = Callable[..., LoadedTask]


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.task.eval_docs]


def listed(text: str) -> list[str]:
    """The words of a numbered list; the numbers have to run from 1."""
    parts = re.split(r"(?:^| )(\d+)\. ", text)
    assert [int(number) for number in parts[1::2]] == list(range(1, len(parts) // 2 + 1))
    return parts[2::2]


def lists(document: Any) -> tuple[list[str], list[str], list[str]]:
    """Words of the worked example, its answer, words of the list asked about."""
    pattern = (
        r"Below is a numbered list of words\. In these words, some appear more often than others\. "
        r"Memorize the ones that appear most often\.\n(.*)\nQuestion: What are the 10 most common words in the above "
        r"list\? Answer: The top 10 words that appear most often in the list are:(.*)\nBelow is .* most often\.\n(.*)"
    )
    found = re.fullmatch(pattern, document["context"])
    assert found is not None
    example, answer, own = (listed(part) for part in found.groups())
    return example, answer, own


@given(st.integers(1200, 9000), st.integers(0, 2**40), st.sampled_from(["pieces", "quarters"]))
@settings(max_examples=25, deadline=None)
def test_common_words_are_the_most_frequent(load: Load, length: int, seed: int, counter: str) -> None:
    often, seldom = (30, 3) if length >= 4096 else (6, 1)
    for document in documents(load("cwe", counter, length=length, seed=seed)):
        counts = Counter(lists(document)[2])
        assert {word for word, _ in counts.most_common(10)} == set(document["outputs"])
        assert len(document["outputs"]) == 10
        assert all(count == (often if word in document["outputs"] else seldom) for word, count in counts.items())


@pytest.mark.parametrize(("length", "size", "often", "seldom"), [(2048, 20, 3, 1), (4096, 40, 10, 3)])
def test_the_worked_example_is_right(load: Load, length: int, size: int, often: int, seldom: int) -> None:
    for document in documents(load("cwe", length=length)):
        example, answer, _ = lists(document)
        counts = Counter(example)
        assert len(counts) == size
        assert {word for word, count in counts.items() if count == often} == set(answer)
        assert set(counts.values()) == {often, seldom}


def test_words_are_mixed(load: Load) -> None:
    (document,) = documents(load("cwe", limit=1, length=4096))
    own = lists(document)[2]
    for word in document["outputs"]:
        places = [place / len(own) for place, other in enumerate(own) if other == word]
        assert min(places) < 0.25
        assert max(places) > 0.75


@given(st.integers(700, 9000), st.integers(0, 2**40), st.sampled_from(["pieces", "quarters", "bpe"]))
@settings(max_examples=25, deadline=None)
def test_the_three_lead_the_coded_words(load: Load, length: int, seed: int, counter: str) -> None:
    for document in documents(load("fwe", counter, length=length, seed=seed)):
        counts = Counter(document["context"].split("coded words. ", 1)[1].split(" "))
        noise, *ranked = counts.most_common()
        assert noise[0] == "..."
        assert {word for word, _ in ranked[:3]} == set(document["outputs"])
        assert len(ranked) < 4 or ranked[2][1] > ranked[3][1], "no tie behind the third"
        assert all(re.fullmatch("[a-z]{6}", word) for word, _ in ranked)


def test_frequencies_fall_as_rulers(load: Load) -> None:
    (document,) = documents(load("fwe", limit=1, length=8192))
    counts = Counter(document["context"].split("coded words. ", 1)[1].split(" "))
    ours = sorted(counts.values(), reverse=True)
    most = ours[0] * scipy.special.zeta(2.0)
    words = next(n for n in range(int(most), int(most) + 3) if int(n / scipy.special.zeta(2.0)) == ours[0])
    wanted = [int(words / rank**2 / scipy.special.zeta(2.0)) for rank in range(1, 8192 // 50 + 1)]
    assert len(ours) == sum(count > 0 for count in wanted)
    assert all(abs(a - b) <= 1 for a, b in zip(ours, wanted, strict=False))
