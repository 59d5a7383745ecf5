"""Scores of answers about own documents, against what a reader would say."""

import pytest

from lukv_bench import UserError
from lukv_bench.tasks.scoring import score_prediction

SAID = [
    ("exact", " The  KEEPER\n", ["the keeper"], 1.0),
    ("exact", "The keeper.", ["the keeper"], 0.0),
    ("exact", "Straße", ["STRASSE"], 1.0),
    ("exact", "nine", ["ten", "nine"], 1.0),
    ("exact", "", ["nine"], 0.0),
    ("contains", "It was the KEEPER, at nine.", ["keeper", "Nine"], 1.0),
    ("contains", "It was the keeper.", ["keeper", "nine"], 0.5),
    ("contains", "", ["keeper"], 0.0),
    ("f1", "the lamp keeper", ["keeper"], 2 * 0.5 * 1 / 1.5),
    ("rouge", "a b c", ["a b c"], 1.0),
    ("code", "    return 1\n    return 2", ["    return 1"], 1.0),
    ("none", "same", ["same"], 1.0),
    ("none", "same ", ["same"], 0.0),
    ("none", "", [""], 1.0),
]


@pytest.mark.parametrize(("metric", "text", "references", "score"), SAID)
def test_scores(metric: str, text: str, references: list[str], score: float) -> None:
    assert score_prediction(f"own_{metric}", text, references, []) == pytest.approx(score)


def test_an_answer_without_a_reference_is_not_scored() -> None:
    with pytest.raises(UserError, match="without a reference"):
        score_prediction("own_none", "text", [], [])
