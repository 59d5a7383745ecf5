"""LongBench's scores: (prediction, references, classes) -> 0 to 1, the best over the references.

Source: LongBench (arXiv 2308.14508); THUDM/LongBench, LongBench/metrics.py at commit 2e00731.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps

from rapidfuzz import fuzz

from ... import UserError
from .chinese import bare_words, words
from .rouge_l import rouge_l

_DIGITS = re.compile(r"\d+")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_COMMENT_MARKS = ("`", "#", "//")

Metric = Callable[[str, Sequence[str], Sequence[str]], float]


def _best(measure: Callable[[str, str], float]) -> Metric:
    """A metric that takes the best of a measure over all references."""

    @wraps(measure)
    def metric(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
        return max((measure(prediction, answer) for answer in answers), default=0.0)

    return metric


@_best
def qa_f1(prediction: str, reference: str) -> float:
    """F1 over English words; case, punctuation and articles do not count."""
    return _f1(_english(prediction), _english(reference))


@_best
def qa_f1_zh(prediction: str, reference: str) -> float:
    """F1 over Chinese words as jieba cuts them; punctuation does not count."""
    return _f1(bare_words(prediction), bare_words(reference))


@_best
def rouge(prediction: str, reference: str) -> float:
    """ROUGE-L's F over words that white space separates."""
    return rouge_l(prediction, reference)


@_best
def rouge_zh(prediction: str, reference: str) -> float:
    """ROUGE-L's F over Chinese words as jieba cuts them."""
    return rouge_l(" ".join(words(prediction)), " ".join(words(reference)))


@_best
def count(prediction: str, reference: str) -> float:
    """Share of the numbers in the answer that are the right one."""
    return _right_numbers(prediction, reference)


@_best
def retrieval(prediction: str, reference: str) -> float:
    """Share of the numbers in the answer that are N of the reference's "Paragraph N"."""
    return _numbered("Paragraph ", prediction, reference)


@_best
def retrieval_zh(prediction: str, reference: str) -> float:
    """Share of the numbers in the answer that are N of the reference's "段落N"."""
    return _numbered("段落", prediction, reference)


@_best
def code_similarity(prediction: str, reference: str) -> float:
    """Edit similarity of the answer's first line of code, in whole percents.

    The line is the first without a comment mark or a backtick, as it stands, indentation included; a
    blank line counts, unless line ends alone precede it. The original's fuzzywuzzy gives these percents
    where python-Levenshtein is installed, and others (2 points lower on lcc) where it is not.
    Differs from lm-eval, whose task version 6 passes blank lines over.
    """
    lines = prediction.lstrip("\n").split("\n")
    code = next((line for line in lines if not any(mark in line for mark in _COMMENT_MARKS)), "")
    return round(fuzz.ratio(code, reference)) / 100


def classification(prediction: str, answers: Sequence[str], all_classes: Sequence[str]) -> float:
    """1 over the number of classes the answer names, if the right one is among them.

    A class whose name is only a part of the right one's does not count as named. As in the original,
    the class named after such a part is skipped, so a second part in a row does count.
    """
    if not all_classes:
        raise UserError("A classification cannot be scored without its all_classes.")
    named = [name for name in all_classes if name in prediction]
    return max((_share(list(named), answer) for answer in answers), default=0.0)


def _english(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(predicted: list[str], expected: list[str]) -> float:
    same = (Counter(predicted) & Counter(expected)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def _numbered(label: str, prediction: str, reference: str) -> float:
    expected = re.search(rf"{label}(\d+)", reference)
    if expected is None:
        raise UserError(f"The reference answer {reference!r} names no paragraph: {label}N is expected.")
    return _right_numbers(prediction, expected[1])


def _right_numbers(prediction: str, right: str) -> float:
    numbers = _DIGITS.findall(prediction)
    return numbers.count(right) / len(numbers) if numbers else 0.0


def _share(named: list[str], reference: str) -> float:
    position = 0
    while position < len(named):
        if named[position] in reference and named[position] != reference:
            del named[position]
        position += 1
    return 1.0 / len(named) if reference in named else 0.0
