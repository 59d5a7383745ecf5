"""Is the full-cache cell what `model.generate` gives on the unsplit prompt? Token for token, listed.

    python tests/benchmarks/full_vs_generate.py [--model M] [--tasks T,T] [--length N] [--limit N]

A first difference is allowed only where the two best logits are within 1e-3; exit code 1 otherwise.
"""

import argparse
import sys

import torch
from task_prompts import prompts

from lukv_bench.bench.engine.decode import decode, fed_at_most
from lukv_bench.bench.engine.evict import evict, keep_everything
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel

ALLOWED = 1e-3


def ours(loaded: LoadedModel, prompt: Prompt, new_tokens: int) -> list[int]:
    n_sequence = len(prompt.context) + len(prompt.question) + fed_at_most(new_tokens)
    context = prefill(loaded, prompt.context, {}, n_sequence=n_sequence)
    cache = evict(context, keep_everything(context), len(prompt.question) + new_tokens)
    (row,) = decode(loaded, cache, [prompt.question], Stop(new_tokens, loaded.eos)).rows
    return row.ids


@torch.inference_mode()
def theirs(loaded: LoadedModel, prompt: Prompt, new_tokens: int) -> tuple[list[int], list[float]]:
    """Generated ids and, for each, by how much its logit leads."""
    ids = torch.tensor([[*prompt.context, *prompt.question]])
    out = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=sorted(loaded.eos),
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    generated = out.sequences[0, ids.shape[1] :].tolist()
    leads = [float(step[0].topk(2).values.diff().abs()) for step in out.logits]
    ends = [i for i, token in enumerate(generated) if token in loaded.eos]
    return generated[: ends[0]] if ends else generated, leads


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="smollm2-135m")
    options.add_argument("--tasks", default="niah_single_1,niah_multikey_1")
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--limit", type=int, default=12)
    options.add_argument("--new-tokens", type=int, default=64)
    asked = options.parse_args()
    loaded = ready_model(asked.model, torch.device("cpu"), "float32")
    store_attention = loaded.model.config._attn_implementation
    bad = 0
    for task in asked.tasks.split(","):
        for number, (prompt, _) in enumerate(prompts(loaded, task, asked.length, asked.limit)):
            loaded.model.set_attn_implementation(store_attention)
            mine = ours(loaded, prompt, asked.new_tokens)
            loaded.model.set_attn_implementation("sdpa")
            own, leads = theirs(loaded, prompt, asked.new_tokens)
            verdict = "same"
            if mine != own:
                at = next(
                    (i for i, (a, b) in enumerate(zip(mine, own, strict=False)) if a != b), min(len(mine), len(own))
                )
                allowed = leads[at] <= ALLOWED
                bad += not allowed
                verdict = f"differs at token {at}, where the best logit leads by {leads[at]:.2e}"
            print(f"{task} sample {number}: {len(own)} tokens, {verdict}", flush=True)
    print(f"differences that rounding does not explain: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
