"""Times LongBench's scores on answers of the usual sizes. Prints a table.

python tests/benchmarks/metrics.py                      # made-up answers, 200 a task
python tests/benchmarks/metrics.py --recorded FOLDER    # recorded ones: FOLDER/TASK.jsonl with pred, answers

Exits 1 if a score takes a millisecond or more outside ROUGE.
"""

import argparse
import contextlib
import json
import logging
import os
import platform
import random
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

from lukv_bench.tasks.catalog import families, task_info  # noqa: E402 - the root must not be on sys.path
from lukv_bench.tasks.scoring import score_prediction  # noqa: E402

ENGLISH = [*"abcdefghij", "the", "of", "is", "Paragraph", "12", "3", "return", "x.", "(y)", "= 1;\n"]
CHINESE = [*"全国美国文学研究会的第十八届年会在厦门大学举行我们。"]
BUDGET_MS = 1.0


def made_up(task: str, n_docs: int, rng: random.Random) -> list[dict[str, Any]]:
    """Answers of two thirds of the generation length in words, references of half of it."""
    chinese = task.endswith("_zh") or task in ("longbench_dureader", "longbench_vcsum", "longbench_lsht")
    words, joint = (CHINESE, "") if chinese else (ENGLISH, " ")
    limit = task_info(task).max_new_tokens

    def text(n_words: int) -> str:
        return joint.join(rng.choices(words, k=n_words))

    classes = [text(2) for _ in range(50)] if task_info(task).metric == "classification" else None
    label = {"retrieval": "Paragraph 3", "retrieval_zh": "段落3"}.get(task_info(task).metric)
    lines = []
    for _ in range(n_docs):
        reference = label or (rng.choice(classes) if classes else text(max(limit // 2, 8)))
        lines.append({"pred": text(2 * limit // 3), "answers": [reference] * 2, "all_classes": classes})
    return lines


def recorded(folder: Path, task: str) -> list[dict[str, Any]]:
    """The recorded predictions of a task; none if there is no file."""
    path = folder / f"{task.removeprefix('longbench_')}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def measure(task: str, lines: list[dict[str, Any]]) -> float:
    """Milliseconds a score."""
    score_prediction(task, lines[0]["pred"], lines[0]["answers"], lines[0]["all_classes"] or [])  # loads dictionaries
    started = time.perf_counter()
    for line in lines:
        score_prediction(task, line["pred"], line["answers"], line["all_classes"] or [])
    return 1000 * (time.perf_counter() - started) / len(lines)


def main() -> int:
    """0 when every task outside ROUGE scores within the budget, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=int, default=200, help="documents a task (default: %(default)s)")
    parser.add_argument("--recorded", type=Path, help="folder of recorded predictions, instead of made-up ones")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"Milliseconds a score; {platform.machine()}")
    print(f"{'task':<32}{'metric':<18}{'score':>9}")
    slow = False
    for task in families()["longbench"]:
        lines = recorded(asked.recorded, task) if asked.recorded else made_up(task, asked.docs, random.Random(task))
        if not lines:
            continue
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            score_ms = measure(task, lines)
        metric = task_info(task).metric
        slow |= score_ms >= BUDGET_MS and not metric.startswith("rouge")
        print(f"{task:<32}{metric:<18}{score_ms:>9.3f}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
