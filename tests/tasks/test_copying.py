"""What became of a text that an answer was to repeat."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.tasks.copying import Copied, copied, copied_of, n_right_characters
from lukv_bench.tasks.ruler.metrics import string_match_all

some = st.text("ab12 .", max_size=12)
texts = st.lists(st.text("ab12", min_size=1, max_size=5), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("It is 9067354.", Copied("found", 7, 7)),
        ("90676.", Copied("miscopied", 4, 7)),
        ("perhaps 9167354 or so", Copied("miscopied", 6, 7)),
        ("906735", Copied("miscopied", 6, 7)),
        ("967354", Copied("missed", 1, 7)),
        ("1234567", Copied("missed", 0, 7)),
        ("", Copied("missed", 0, 7)),
    ],
)
def test_a_number(answer: str, result: Copied) -> None:
    assert copied(answer, ["9067354"]) == result


def test_of_several_texts_the_worst_counts() -> None:
    assert copied("1111111 and 2222222", ["1111111", "2222222"]) == Copied("found", 14, 14)
    assert copied("1111111 and 2222999", ["1111111", "2222222"]) == Copied("miscopied", 11, 14)
    assert copied("1111111 and 9999999", ["1111111", "2222222"]) == Copied("missed", 7, 14)


def brute_right(answer: str, text: str) -> int:
    """The text laid over the answer at every character that begins a word."""
    if text.lower() in answer.lower():
        return len(text)
    best = 0
    for start in range(len(answer)):
        if answer[start] != " " and not (start and answer[start - 1].isalnum()):
            best = max(best, sum(1 for i in range(len(text)) if answer[start + i : start + i + 1] == text[i]))
    return best


@given(some, texts)
def test_counts_and_outcome_are_those_of_a_brute_force(answer: str, asked: list[str]) -> None:
    right = [brute_right(answer, text) for text in asked]
    assert [n_right_characters(answer, text) for text in asked] == right
    result = copied(answer, asked)
    assert (result.n_right_characters, result.n_characters) == (sum(right), sum(map(len, asked)))
    assert (result.outcome == "found") == (string_match_all(answer, asked) == 1)
    if result.outcome != "found":
        halves = all(2 * n >= len(text) for n, text in zip(right, asked, strict=True))
        assert (result.outcome == "miscopied") == halves


def test_documents_say_what_is_to_be_copied() -> None:
    assert copied_of({"copied": ["12"]}, "12") == Copied("found", 2, 2)
    assert copied_of({"copied": []}, "12") is None
    assert copied_of({"outputs": ["12"]}, "12") is None


def test_the_chances_that_the_docs_name() -> None:
    def chance(n: int, letters: int) -> float:
        """Of at least half of n characters right, drawn from so many."""
        return sum(comb(n, k) * (1 / letters) ** k * (1 - 1 / letters) ** (n - k) for k in range((n + 1) // 2, n + 1))

    assert chance(7, 10) == pytest.approx(3 / 1000, rel=0.1)
    assert chance(5, 26) == pytest.approx(1 / 2000, rel=0.1)
