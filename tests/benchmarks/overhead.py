"""What does a run of one cell cost over bare transformers doing the same work?

    python tests/benchmarks/overhead.py [--length N] [--limit N] [--repeat N]

The default model, one thread, on a needle task. Ours is `lukv_bench.run` with the full cache: samples, prefill,
question, decoding, scoring and a SQLite file. Bare is a loop over transformers with its own cache and attention that
reads the same contexts, feeds the same questions and decodes to the same end, and does nothing else. The model is
loaded before both. CPU seconds of this process, which alternate; the medians are compared. Exit code 1 above 5%.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from task_prompts import prompts
from transformers import DynamicCache

import lukv_bench
from lukv_bench.bench.api.model import Model
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.models.load import LoadedModel

ALLOWED = 1.05
TASK, NEW_TOKENS = "niah_single_1", 128


@torch.inference_mode()
def bare_s(loaded: LoadedModel, samples: Sequence[Prompt]) -> float:
    """CPU seconds of reading each context, feeding its question and decoding until the end."""
    store_attention = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation("sdpa")
    began = time.process_time()
    for prompt in samples:
        cache, chunk = DynamicCache(config=loaded.model.config), torch.tensor([prompt.question])
        loaded.model(torch.tensor([prompt.context]), past_key_values=cache, logits_to_keep=1)
        for _ in range(NEW_TOKENS):
            logits = loaded.model(chunk, past_key_values=cache, logits_to_keep=1).logits
            chunk = logits[:, -1].argmax(dim=-1, keepdim=True)
            if int(chunk) in loaded.eos:
                break
    seconds = time.process_time() - began
    loaded.model.set_attn_implementation(store_attention)
    return seconds


def ours_s(model: Model, length: int, limit: int) -> float:
    """CPU seconds of a run of one cell."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        lukv_bench.run(
            model=model,
            allocator="full",
            tasks=TASK,
            length=length,
            limit=limit,
            db=str(Path(folder) / "cell.db"),
            progress=False,
        )
        return time.process_time() - began


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--limit", type=int, default=4)
    options.add_argument("--repeat", type=int, default=3)
    given = options.parse_args()
    torch.set_num_threads(1)
    model = lukv_bench.load("smollm2-135m")
    samples = [prompt for prompt, _ in prompts(model.loaded, TASK, given.length, given.limit)]
    ours_s(model, given.length, 1)  # imports, and the machine's caches
    pairs = [(ours_s(model, given.length, given.limit), bare_s(model.loaded, samples)) for _ in range(given.repeat)]
    ours, bare = (median(each) for each in zip(*pairs, strict=True))
    print(f"{given.limit} samples of {len(samples[0].context)} context tokens, median of {given.repeat}:")
    print(f"a run of one cell {ours:.2f} CPU s, bare transformers {bare:.2f}: {100 * (ours / bare - 1):+.1f}%")
    return 0 if ours <= ALLOWED * bare else 1


if __name__ == "__main__":
    sys.exit(main())
