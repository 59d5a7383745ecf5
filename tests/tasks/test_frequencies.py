"""RULER's two counting tasks: the references really are what a reader would count."""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks.ruler import cwe_utils, fwe_utils

from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.ruler.cwe import Repeats, numbered_list
from lukv_bench.tasks.ruler.fwe import CodedDraft
from lukv_bench.tasks.ruler.words import plain_words

Load = Callable[..., LoadedTask]


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


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


@given(st.integers(80, 20_000), st.integers(4, 400))
@settings(max_examples=40, deadline=None)
def test_words_are_as_frequent_as_lm_evals(words: int, vocabulary: int) -> None:
    class Tokens:
        """Counts nothing, so that lm-eval keeps the number of words."""

        def __call__(self, text: str) -> Any:
            return type("Encoding", (), {"input_ids": []})

    text, answer, kept = fwe_utils.generate_input_output(10**6, Tokens(), num_words=words, vocab_size=vocabulary)
    assert kept == words
    stock = text.split("coded words. ", 1)[1].split("\nQuestion:")[0]
    ranked = list(dict.fromkeys(["...", *answer, *(f"w{n}" for n in range(vocabulary))]))[:vocabulary]
    ours = CodedDraft("fwe", 0, ranked, shuffle_seed=0).document(words)["context"].split("coded words. ", 1)[1]
    counts, theirs = Counter(ours.split(" ")), Counter(stock.split(" "))
    assert sorted(counts.values()) == sorted(theirs.values())
    assert all(counts[word] == theirs[word] for word in ["...", *answer])


@pytest.mark.parametrize(("words", "often", "seldom"), [(20, 3, 1), (60, 6, 1), (200, 30, 3)])
def test_lists_are_as_lm_evals(words: int, often: int, seldom: int) -> None:
    stock, common = cwe_utils.get_example(words, often, seldom)
    theirs = listed(stock)
    drawn = [*common, *(set(theirs) - set(common))]
    ours = listed(numbered_list(drawn, Repeats(often, seldom), random.Random(0)))
    assert Counter(ours) == Counter(theirs)
    assert set(theirs) <= set(plain_words())
    assert len(plain_words()) == len(cwe_utils.WORDS)


def test_no_size_lets_the_third_tie_with_the_fourth() -> None:
    draft = CodedDraft("fwe", 0, ["...", *(f"w{n}" for n in range(9))], shuffle_seed=0)
    for units in range(draft.fewest, 1500):
        counts = Counter(draft.document(units)["context"].split("coded words. ", 1)[1].split(" "))
        assert min(counts[word] for word in draft.document(units)["outputs"]) > counts["w3"], units
