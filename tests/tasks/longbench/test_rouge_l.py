"""ROUGE-L against the package `rouge`, whose numbers LongBench's are."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge import Rouge

from lukv_bench.tasks.longbench.rouge_l import rouge_l

theirs = Rouge(metrics=["rouge-l"])
few_words = st.lists(st.sampled_from(["a", "b", "c", "d", ".", ". ", " . ", "\n"]), max_size=40).map(" ".join)
any_text = st.text(alphabet="ab .\n\t\u00a0é", max_size=40)


def oracle(prediction: str, reference: str) -> float:
    try:
        return float(theirs.get_scores([prediction], [reference], avg=True)["rouge-l"]["f"])
    except ValueError:  # an empty text, which LongBench counts as 0
        return 0.0


@settings(max_examples=500)
@given(few_words | any_text, few_words | any_text)
def test_it_is_the_packages(prediction: str, reference: str) -> None:
    assert rouge_l(prediction, reference) == oracle(prediction, reference)


@pytest.mark.parametrize("text", ["", ".", "...."])
def test_nothing_said_is_nothing(text: str) -> None:
    assert rouge_l(text, "a b") == rouge_l("a b", text) == 0


def test_a_long_sentence_is_scored_however_deep_the_caller_stands() -> None:
    """The package gives up on it, and LongBench would count 0."""
    sentence = " ".join(f"w{i % 50}" for i in range(1500))
    with pytest.raises(RecursionError):
        theirs.get_scores([sentence], [sentence])
    assert rouge_l(sentence, sentence) == pytest.approx(1)


def test_words_count_once() -> None:
    """Both have the same distinct words, however often and in many sentences."""
    assert rouge_l("to be or not to be", "to be. or not") == pytest.approx(1)


def test_two_very_long_sentences_take_little_memory() -> None:
    """A table of lengths would hold 16 million numbers."""
    said = " ".join(f"w{i * i % 977}" for i in range(4000))
    wanted = " ".join(f"w{i * 31 % 977}" for i in range(4000))
    tracemalloc.start()
    score = rouge_l(said, wanted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < score < 1
    assert peak < 16e6
