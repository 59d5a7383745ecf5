import pytest

from lukv_bench.tasks.requests.metrics import words_match_all
from lukv_bench.tasks.scoring import score_prediction


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        (" 1234567.", ["1234567"], 1),
        ("12345678", ["1234567"], 0),
        ("91234567", ["1234567"], 0),
        ("it is 3", ["3"], 1),
        ("it is 33", ["3"], 0),
        ("**AMBER-otter-1**, surely", ["amber-otter-1"], 1),
        ("amber-otter-12", ["amber-otter-1"], 0),
        ("1111111, 3333333", ["1111111", "2222222", "3333333"], 2 / 3),
        ("", ["x"], 0),
    ],
)
def test_references_are_whole_words(prediction: str, answers: list[str], score: float) -> None:
    assert words_match_all(prediction, answers) == score


@pytest.mark.parametrize(
    ("prediction", "score"),
    [("3 of 4", 1), ("4, not 3", 0), ("34", 0), ("three", 0), ("There are 3.", 1), ("2 or 3", 0), ("", 0)],
)
def test_of_choices_the_first_that_is_named_counts(prediction: str, score: float) -> None:
    assert words_match_all(prediction, ["3"], ["2", "3", "4"]) == score


def test_only_the_first_line_counts() -> None:
    assert score_prediction("requests_digits", "\n1234567\n7654321", ["1234567"], []) == 1
    assert score_prediction("turns", "no\n1234567", ["1234567"], []) == 0
