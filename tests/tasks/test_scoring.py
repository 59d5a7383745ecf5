import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.tasks.ruler import common_utils

from lukv_bench import UserError
from lukv_bench.tasks.catalog import names, task_info
from lukv_bench.tasks.document import Document
from lukv_bench.tasks.ruler.metrics import string_match_all, string_match_part
from lukv_bench.tasks.scoring import first_line_of, score_answers, score_prediction

texts = st.text(max_size=40) | st.text(alphabet="aAbB1 \n\x01", max_size=12)
references = st.lists(st.text(alphabet="aAbBİß1-. (*[\n", min_size=1, max_size=3), min_size=1, max_size=4)


def document(outputs: list[str], task: str = "niah_multivalue") -> Document:
    return Document(task=task, index=0, context="c", question="q", answer_prefix="p", outputs=outputs, all_classes=[])


@given(texts, references)
def test_a_sample_scores_as_in_lm_evals_task(text: str, outputs: list[str]) -> None:
    stock = common_utils.process_results({"max_length": 1, "outputs": outputs}, [text])["1"]
    assert string_match_all(text, outputs) == pytest.approx(stock)
    assert score_answers(document(outputs), [text])["score"] == pytest.approx(stock)


@given(texts, references)
def test_one_matching_reference_is_full_marks(text: str, outputs: list[str]) -> None:
    each = [common_utils.process_results({"max_length": 1, "outputs": [one]}, [text])["1"] for one in outputs]
    assert string_match_part(text, outputs) == max(each)


@pytest.mark.parametrize(
    ("text", "score"),
    [("1234567 and 7654321", 1.0), ("it is 7654321.", 0.5), ("12345678", 0.5), ("123 4567", 0.0), ("", 0.0)],
)
def test_shares(text: str, score: float) -> None:
    assert score_answers(document(["1234567", "7654321"]), [text]) == {"score": score}
    assert score_prediction("niah_multivalue", text, ["1234567", "7654321"], []) == score


def test_case_does_not_count() -> None:
    assert score_answers(document(["aB-c"]), ["AB-C"]) == {"score": 1.0}


def test_several_texts_are_averaged() -> None:
    assert score_answers(document(["a"]), ["a", "b"]) == {"score": 0.5}


def test_what_cannot_be_scored() -> None:
    with pytest.raises(UserError, match=r"niah_multivalue.*without a reference"):
        score_prediction("niah_multivalue", "text", [], [])
    with pytest.raises(UserError, match="no task 'niah'"):
        score_prediction("niah", "text", ["a"], [])


@pytest.mark.parametrize(
    ("text", "line"), [("\n\none\ntwo", "one"), ("one", "one"), ("", ""), ("\n", ""), (" \none", " "), ("\r\na", "\r")]
)
def test_the_first_line_is_cut_as_longbench_cuts_it(text: str, line: str) -> None:
    assert first_line_of(text) == line


@pytest.mark.parametrize("name", names())
def test_every_task_has_a_metric_that_can_be_found(name: str) -> None:
    assert task_info(name).metric
    assert 0 <= score_prediction(name, "1", ["Paragraph 1 段落1"], ["1"]) <= 1
