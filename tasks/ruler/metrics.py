"""RULER's two measures: are all references in the answer, or is any one of them.

Source: RULER (arXiv 2404.06654), NVIDIA/RULER scripts/eval/synthetic/constants.py and scripts/eval/evaluate.py.
Differs from RULER: 0 to 1, where RULER reports 0 to 100 rounded to two decimals.
"""

import re
from collections.abc import Sequence

_CONTROL = re.compile(r"[\x00-\x1f]")


def string_match_all(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """The share of references that stand in the prediction, case ignored."""
    matches = _match_each(prediction, answers)
    return sum(matches) / len(matches)


def string_match_part(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """1 if any reference stands in the prediction, case ignored, else 0.

    Differs from lm-eval, which divides by the number of references.
    """
    return float(any(_match_each(prediction, answers)))


def _match_each(prediction: str, answers: Sequence[str]) -> list[bool]:
    text = _CONTROL.sub("\n", prediction.strip()).strip().lower()
    return [answer.lower() in text for answer in answers]
