"""The measure of answers to requests: references as whole words, or the first choice that is named."""

import re
from collections.abc import Sequence


def words_match_all(prediction: str, answers: Sequence[str], all_classes: Sequence[str] = ()) -> float:
    """The share of references that stand in the answer as whole words or numbers, case ignored.

    With classes the answer is the class that it names first, and the score is 1 if that is the reference.
    """
    if all_classes:
        places = {name: match.start() for name in all_classes if (match := _found(name, prediction))}
        return float(bool(places) and min(places, key=places.__getitem__) in answers)
    return sum(_found(answer, prediction) is not None for answer in answers) / len(answers)


def _found(text: str, prediction: str) -> re.Match[str] | None:
    """The first place where a text stands, no letter or digit of other words right beside it, nor other digits of the
    same number."""
    return re.search(rf"(?<!\w)(?<!\d\.){re.escape(text)}(?!\w)(?!\.\d)", prediction, re.IGNORECASE)
