import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.tasks.ruler import common_utils

from lukv_bench.tasks.document import Document
from lukv_bench.tasks.scoring import score_answers, string_match_all

texts = st.text(max_size=40) | st.text(alphabet="aAbB1 \n\x01", max_size=12)
references = st.lists(st.text(alphabet="aAbBİß1-", min_size=1, max_size=3), min_size=1, max_size=4)


@given(st.lists(st.tuples(texts, references), min_size=1, max_size=5))
def test_string_match_all_is_lm_evals(pairs: list[tuple[str, list[str]]]) -> None:
    answers, wanted = [text for text, _ in pairs], [refs for _, refs in pairs]
    assert string_match_all(answers, wanted) == pytest.approx(common_utils.string_match_all(answers, wanted))


@given(texts, references)
def test_a_sample_scores_as_in_lm_evals_task(text: str, outputs: list[str]) -> None:
    """Its clean-up of answers (control characters, white space) cannot matter: no reference holds any."""
    stock = common_utils.process_results({"max_length": 1, "outputs": outputs}, [text])["1"]
    assert score_answers(document(outputs), [text])["score"] == pytest.approx(stock)


@pytest.mark.parametrize(
    ("text", "score"),
    [("1234567 and 7654321", 1.0), ("it is 7654321.", 0.5), ("12345678", 0.5), ("123 4567", 0.0), ("", 0.0)],
)
def test_shares(text: str, score: float) -> None:
    assert score_answers(document(["1234567", "7654321"]), [text]) == {"score": score}


def test_case_does_not_count() -> None:
    assert score_answers(document(["aB-c"]), ["AB-C"]) == {"score": 1.0}


def document(outputs: list[str]) -> Document:
    return Document(index=0, context="c", question="q", answer_prefix="p", outputs=outputs)
