"""Recorded predictions come out with their recorded scores, through the path that a run takes."""

import json
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from lukv_bench.tasks.scoring import score_prediction

RECORDED = [
    "2wikimqa",
    "hotpotqa",
    "lcc",
    "multi_news",
    "multifieldqa_en",
    "narrativeqa",
    "passage_count",
    "passage_retrieval_en",
    "qmsum",
    "triviaqa",
]


def recorded(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "golden_predictions" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def mean(lines: list[dict[str, Any]], score: Callable[[str, str], float]) -> float:
    best = [max(score(line["pred"], answer) for answer in line["answers"]) for line in lines]
    return round(100 * sum(best) / len(best), 2)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("family", ["longbench", "longbench_e"])
def test_recorded_scores_are_reproduced_to_two_decimals(shared_data: Path, family: str, name: str) -> None:
    if family == "longbench_e" and name in ("narrativeqa", "qmsum"):
        family = "longbench"  # these are not in LongBench-E
    expected = json.loads((shared_data / "golden_predictions" / "result.json").read_text())
    lines = recorded(shared_data, name)
    scores = [
        score_prediction(f"{family}_{name}", line["pred"], line["answers"], line["all_classes"] or []) for line in lines
    ]
    assert len(scores) >= 150
    assert round(100 * sum(scores) / len(scores), 2) == expected[name]


def test_every_recording_is_tried(shared_data: Path) -> None:
    assert sorted(json.loads((shared_data / "golden_predictions" / "result.json").read_text())) == RECORDED


def test_other_backends_would_not_do(shared_data: Path) -> None:
    """What fuzzywuzzy falls back to without python-Levenshtein, and the better known ROUGE (docs/tasks.md)."""

    def by_difflib(pred: str, answer: str) -> float:
        lines = pred.lstrip("\n").split("\n")
        code = next((line for line in lines if not set("`#") & set(line) and "//" not in line), "")
        return round(100 * SequenceMatcher(None, code, answer).ratio()) / 100

    scorer = RougeScorer(["rougeL"])
    assert mean(recorded(shared_data, "lcc"), by_difflib) == 53.47
    by_rouge_score = mean(
        recorded(shared_data, "multi_news"), lambda pred, answer: scorer.score(answer, pred)["rougeL"].fmeasure
    )
    assert by_rouge_score == 18.36
