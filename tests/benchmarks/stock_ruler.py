"""Do lm-eval's own RULER samples get the same answers and scores from us, with no eviction, as from lm-eval's `hf`?

    python tests/benchmarks/stock_ruler.py [--model M] [--tasks T,T] [--length N] [--limit N]

The samples are lm-eval's; it answers and scores them itself, then they go through `lukv-bench run --allocator full
--data-dir`. Every prompt, answer and score is compared; exit code 1 if a prompt or a score differs. lm-eval makes 500
samples of each task whatever the limit, so this takes minutes. Its QA tasks need a download and score otherwise.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import lm_eval
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lukv_bench.bench.models.find import find_model
from lukv_bench.bench.record.hashing import content_hash

STOCK = {
    "niah_single_1": "niah_single_1",
    "niah_multikey_2": "niah_multikey_2",
    "niah_multikey_3": "niah_multikey_3",
    "vt": "ruler_vt",
    "cwe": "ruler_cwe",
    "fwe": "ruler_fwe",
}
"""Our name -> lm-eval's, of the tasks whose samples it makes without a download."""


class Mine(NamedTuple):
    """An answer of ours; its score in [0, 1]."""

    prompt_hash: str
    text: str
    score: float


def theirs(folder: Path, names: list[str], length: int, limit: int) -> dict[str, list[dict[str, Any]]]:
    """lm-eval's samples with its answers and scores."""
    ruler = Path(lm_eval.__file__).parent / "tasks" / "ruler"
    manager = TaskManager(
        include_defaults=False,
        include_path=str(ruler),
        metadata={"tokenizer": str(folder), "max_seq_lengths": [length]},
    )
    found = simple_evaluate(
        model=HFLM(pretrained=str(folder), device="cpu", dtype="float32"),
        tasks=[STOCK[name] for name in names],
        task_manager=manager,
        limit=limit,
        apply_chat_template=True,
        bootstrap_iters=1,
    )
    return {name: found["samples"][STOCK[name]] for name in names}


def ours(
    model: str, stock: dict[str, list[dict[str, Any]]], length: int, limit: int, folder: Path
) -> dict[tuple[str, int], Mine]:
    """Our run over the same samples: (task, ordinal) -> answer."""
    for name, samples in stock.items():
        lines = (json.dumps(sample["doc"], ensure_ascii=False) for sample in samples)
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    database = folder / "out.db"
    subprocess.run(
        [
            *(sys.executable, "-c", "from lukv_bench.bench.cli import main; main()", "run", "--model", model),
            *("--allocator", "full", "--no-baselines", "--tasks", ",".join(stock), "--length", str(length)),
            *("--limit", str(limit), "--data-dir", str(folder), "--db", str(database), "--device", "cpu"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with sqlite3.connect(database) as store:
        rows = store.execute(
            "SELECT sample.task, sample.ordinal, sample.prompt_hash, answer.text, answer.score FROM answer "
            "JOIN sample ON sample.id = answer.sample_id"
        ).fetchall()
    return {(task, ordinal): Mine(*answer) for task, ordinal, *answer in rows}


def compare(name: str, samples: list[dict[str, Any]], mine: dict[tuple[str, int], Mine]) -> bool:
    """Print a task's line and what differs; whether every prompt and score is the same."""
    prompts = texts = scores = 0
    for ordinal, sample in enumerate(samples):
        answer = mine[name, ordinal]
        prompts += answer.prompt_hash == content_hash(sample["arguments"][0][0])
        scores += abs(answer.score - sample[str(sample["doc"]["max_length"])]) < 1e-9
        text = sample["resps"][0][0]
        texts += answer.text == text
        if answer.text != text:
            print(f"  {name} {ordinal}: {text[:70]!r} and here {answer.text[:70]!r}")
    mean = sum(mine[name, n].score for n in range(len(samples))) / len(samples)
    print(
        f"{name}: of {len(samples)} samples {prompts} prompts, {texts} answers and {scores} scores are the same; "
        f"mean score {100 * mean:.1f}"
    )
    return prompts == scores == len(samples)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tasks", default=",".join(STOCK))
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--limit", type=int, default=2)
    asked = parser.parse_args()
    names = asked.tasks.split(",")
    started = time.monotonic()
    stock = theirs(find_model(asked.model), names, asked.length, asked.limit)
    between = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        mine = ours(asked.model, stock, asked.length, asked.limit, Path(folder))
    print(f"lm-eval {between - started:.0f} s, here {time.monotonic() - between:.0f} s")
    same = [compare(name, stock[name], mine) for name in names]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
