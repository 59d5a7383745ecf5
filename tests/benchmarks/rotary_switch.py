"""Is the full cache right where LongRoPE changes between a context and its answer? Against `model.generate`, listed.

    python tests/benchmarks/rotary_switch.py [--length N] [--limit N] [--switch N] [--new-tokens N]

The default model is given two sets of frequencies, divided by 1.25 up to 480 positions and its own beyond. RULER's
single needle at 640 tokens has contexts around the switch, and sequences beyond it. `attention_factor` is 1, so that
cos and sin keep the scale that the model was trained with: left out, transformers makes it 1.21 and the model is
another one. Exit code 1 where an answer differs from `generate`'s by more than rounding. Samples whose prompt ends
before the switch and whose answer may go beyond are counted apart: there `generate` begins with the other frequencies.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from full_vs_generate import ALLOWED, ours, theirs
from task_prompts import prompts

from lukv_bench.bench.engine.decode import fed_at_most
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.rotary import switch_events
from lukv_bench.bench.models.find import find_model
from lukv_bench.bench.models.load import LoadedModel

TASK = "niah_single_1"


def save_switching(folder: Path, switch: int) -> None:
    """The default model's files with LongRoPE in its configuration."""
    source = find_model("smollm2-135m")
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    half = (config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]) // 2
    config["rope_parameters"] |= {
        "rope_type": "longrope",
        "short_factor": [1.25] * half,
        "long_factor": [1.0] * half,
        "original_max_position_embeddings": switch,
        "attention_factor": 1.0,
    }
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@dataclass(frozen=True)
class Compared:
    """One sample answered by both.

    Attributes:
        n_context: Tokens of its context.
        n_prompt: Tokens of context and question.
        crosses: Whether the answer may cross the switch.
        generate: Whether `generate` finds the needle.
        full: Whether the full cache does.
        equal: Whether the tokens are the same, up to a tie.
    """

    n_context: int
    n_prompt: int
    crosses: bool
    generate: bool
    full: bool
    equal: bool


def compare(loaded: LoadedModel, prompt: Prompt, outputs: list[str], store_attention: str, new_tokens: int) -> Compared:
    """Answer a sample by both."""
    n_prompt = len(prompt.context) + len(prompt.question)
    loaded.model.set_attn_implementation(store_attention)
    mine = ours(loaded, prompt, new_tokens)
    loaded.model.set_attn_implementation("sdpa")
    own, leads = theirs(loaded, prompt, new_tokens)
    shorter = min(len(mine), len(own))
    at = next((i for i in range(shorter) if mine[i] != own[i]), shorter)
    return Compared(
        n_context=len(prompt.context),
        n_prompt=n_prompt,
        crosses=bool(switch_events(loaded.model, n_prompt, n_prompt + fed_at_most(new_tokens))),
        generate=all(text in loaded.tokenizer.decode(own) for text in outputs),
        full=all(text in loaded.tokenizer.decode(mine) for text in outputs),
        equal=mine == own or leads[at] <= ALLOWED,
    )


def compare_all(length: int, limit: int, switch: int, new_tokens: int) -> list[Compared]:
    """Every sample by both."""
    with tempfile.TemporaryDirectory() as folder:
        save_switching(Path(folder), switch)
        loaded = ready_model(folder, torch.device("cpu"), "float32")
        store_attention = loaded.model.config._attn_implementation
        return [
            compare(loaded, prompt, outputs, store_attention, new_tokens)
            for prompt, outputs in prompts(loaded, TASK, length, limit)
        ]


def main() -> int:
    """Compare and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--length", type=int, default=640)
    options.add_argument("--limit", type=int, default=6)
    options.add_argument("--switch", type=int, default=480)
    options.add_argument("--new-tokens", type=int, default=128)
    asked = options.parse_args()
    found = compare_all(asked.length, asked.limit, asked.switch, asked.new_tokens)
    for number, row in enumerate(found):
        print(f"sample {number}: {row}")
    apart = [row for row in found if row.crosses]
    print(f"generate answers {sum(row.generate for row in found)} of {len(found)}")
    print(f"the full cache answers {sum(row.full for row in found)} of {len(found)}")
    print(f"token for token equal: {sum(row.equal for row in found if not row.crosses)} of {len(found) - len(apart)}")
    print(f"whose answer may cross the switch: {len(apart)}")
    return 0 if all(row.equal for row in found if not row.crosses) else 1


if __name__ == "__main__":
    sys.exit(main())
