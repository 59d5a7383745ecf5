"""Each score against lm-eval's copy of LongBench's metrics, and by hand where the two differ."""

import marshal
import os
import subprocess
import sys
from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks.longbench import metrics as stock

from lukv_bench import UserError
from lukv_bench.tasks.longbench import metrics as ours
from lukv_bench.tasks.longbench.chinese import bare_words
from lukv_bench.tasks.longbench.metrics import Metric

WORDS = ["the", "a", "an", "An", "cat", "Cat's", "sat", "3", "12", "Paragraph", "Paragraph 3", "段落3", "—", "The."]
GAPS = [" ", " ", "  ", "\n", ". ", ".", ", ", "\t", ""]
CHINESE = [*"我们在北京大学研究美国文学，。《红楼梦》　A1 ", "全国美国文学研究会", "厦门大学。", "ＡＢ", "abc Def"]


def text_of(pieces: list[str], gaps: list[str]) -> st.SearchStrategy[str]:
    part = st.builds(lambda piece, gap: piece + gap, st.sampled_from(pieces), st.sampled_from(gaps))
    return st.lists(part, max_size=14).map("".join)


english = text_of(WORDS, GAPS) | st.text(max_size=30)
chinese = text_of(CHINESE, [""])
numbered = st.integers(0, 30).map(lambda n: f"Paragraph {n}")
numbered_zh = st.integers(0, 30).map(lambda n: f"段落{n}")
code = text_of(["x = 1", "#", "//", "`", "    return", "é", "y"], ["\n", "", " + "]).filter(
    lambda text: all(line.strip() or not line for line in text.split("\n")) and "\n\n" not in text.lstrip("\n")
)

PAIRS = [
    (ours.qa_f1, stock.qa_f1_score, english, english),
    (ours.qa_f1_zh, stock.qa_f1_zh_score, chinese | english, chinese),
    (ours.rouge, stock.rouge_score, english, english),
    (ours.rouge_zh, stock.rouge_zh_score, chinese, chinese),
    (ours.count, stock.count_score, english, st.integers(0, 20).map(str)),
    (ours.retrieval, stock.retrieval_score, english, numbered),
    (ours.retrieval_zh, stock.retrieval_zh_score, english | chinese, numbered_zh),
    (ours.code_similarity, stock.code_sim_score, code, code),
]


@pytest.mark.parametrize(("ours", "theirs", "predictions", "references"), PAIRS)
def test_scores_are_lm_evals(
    ours: Metric, theirs: Metric, predictions: st.SearchStrategy[str], references: st.SearchStrategy[str]
) -> None:
    @settings(deadline=None)  # the first one loads jieba's dictionary
    @given(predictions, st.lists(references, min_size=1, max_size=3))
    def check(prediction: str, answers: list[str]) -> None:
        best = max(float(theirs(prediction, answer)) for answer in answers)  # type: ignore[call-arg]
        assert ours(prediction, answers, []) == pytest.approx(best, abs=1e-12)
        assert ours(answers[-1], answers, []) <= 1

    check()


def test_chinese_punctuation_is_lm_evals_character_by_character() -> None:
    """No more and no less: the opening 《 is not in the list."""
    marks = [mark for mark in map(chr, range(0x10000)) if category(mark)[0] in "PSZ"]
    assert len(marks) > 1000
    for mark in marks:
        assert bool(bare_words(mark)) == bool(stock.normalize_zh_answer(mark)), mark
    assert bare_words("《")
    assert not bare_words("》")


classes = st.lists(st.sampled_from(["a", "ab", "abc", "b", "bc", "c", "Human: who", "Human"]), min_size=1, unique=True)


@given(st.lists(st.sampled_from(["a", "ab", "abc", "c", " ", "Human: who", "x"]), max_size=6).map("".join), classes)
def test_classification_is_lm_evals_quirks_included(prediction: str, all_classes: list[str]) -> None:
    for answer in all_classes:
        theirs = stock.classification_score(prediction, answer, all_classes=all_classes)
        assert ours.classification(prediction, [answer], all_classes) == theirs


def test_a_part_of_the_right_class_does_not_count_and_a_second_in_a_row_does() -> None:
    assert ours.classification("Date of birth", ["Date of birth"], ["Date", "Date of birth"]) == 1
    assert ours.classification("Date of birth", ["Date of birth"], ["Date", "birth", "Date of birth"]) == 1 / 2


@pytest.mark.parametrize(
    ("prediction", "line"),
    [
        ("\n\nx = 1\ny = 2", "x = 1"),
        ("# about\n```python\n// x\n    x = 1\n", "    x = 1"),
        ("\n   \nx = 1", "   "),
        ("x = 1\n", "x = 1"),
        ("# nothing else", ""),
        ("", ""),
    ],
)
def test_the_line_of_code_is_the_originals(prediction: str, line: str) -> None:
    """A line of white space counts as one, unlike in lm-eval since its task version 6."""
    assert ours.code_similarity(prediction, [line], []) == 1
    assert ours.code_similarity(prediction, [line + "zz"], []) < 1


def test_code_similarity_is_in_whole_percents() -> None:
    """The recorded lcc score needs this: 2 * 2 / 7 = 0.571... became 0.57."""
    assert ours.code_similarity("abc", ["abxy"], []) == 0.57


@pytest.mark.parametrize("answer", ["a.*b", "[", "(?P<", "c++", "\\", "$^"])
def test_answers_are_texts_not_patterns(answer: str) -> None:
    assert ours.code_similarity(answer, [answer], []) == 1
    assert ours.classification(f"It is {answer}", [answer], [answer, "other"]) == 1
    assert ours.count("12", [answer], []) == 0
    assert ours.rouge(answer, [answer], []) == pytest.approx(1)


def test_the_best_reference_counts() -> None:
    assert ours.qa_f1("Denver Broncos", ["Broncos", "Denver Broncos", "the Denver Broncos"], []) == 1


@pytest.mark.parametrize("metric", [ours.retrieval, ours.retrieval_zh])
def test_a_reference_without_paragraph_is_told(metric: Metric) -> None:
    with pytest.raises(UserError, match="names no paragraph"):
        metric("Paragraph 3", ["the third"], [])


def test_a_classification_needs_its_classes() -> None:
    with pytest.raises(UserError, match="all_classes"):
        ours.classification("Date", ["Date"], [])


def test_the_dictionary_is_the_shipped_one_whatever_lies_in_the_temporary_folder(tmp_path: Path) -> None:
    """jieba itself would load such a file, and write one where there is none."""
    planted = tmp_path / "jieba.cache"
    planted.write_bytes(marshal.dumps(({"厦": 1, "大学": 1}, 2)))
    os.utime(planted, (2**32, 2**32))
    code = "from lukv_bench.tasks.longbench.chinese import words; print(*words('我在厦门大学。'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        check=True,
        cwd="/",
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"},
    )
    assert done.stdout.decode().split() == ["我", "在", "厦门大学", "。"]
    assert done.stderr == b"", "and nothing is said about it"
    assert list(tmp_path.iterdir()) == [planted]
