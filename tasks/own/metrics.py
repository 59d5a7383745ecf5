"""Measures of answers about own documents that no other task has: (prediction, references, classes) -> 0 or 1."""

from collections.abc import Sequence


def exact(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """1 if the answer is one of the references; case and the amount of white space do not count."""
    return float(_plain(prediction) in {_plain(answer) for answer in answers})


def as_full(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """1 if the answer is character by character the reference, which is the full cache's own answer."""
    return float(prediction in answers)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
