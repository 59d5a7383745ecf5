"""KVzip's scores here and by kvpress 0.5.5's KVzipPress over one context, and what the replay costs here.

    python tests/benchmarks/kvzip_beside_kvpress.py --kvpress-python PATH [--tokens N]

PATH is the Python of kvpress's environment (tests/golden/make_kvpress.py says how to make it). The default model in
float32, the built-in narrative in its chat template, one thread. Exit code 1 where a score differs by more than 1e-4.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.replay import N_SINK, read_replay

TEXT = Path(__file__).resolve().parents[2] / "bench" / "texts" / "narrative.txt"
THEIRS = """
import sys
import kvpress, numpy as np, torch
from transformers import AutoModelForCausalLM, DynamicCache

folder, place = sys.argv[1:]
torch.set_num_threads(1)
ids = np.load(place + "/ids.npy")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
model.config.name_or_path = folder
press, evict = kvpress.KVzipPress(compression_ratio=0.5), kvpress.KVzipPress.compress_post

def keep(model):
    np.save(place + "/scores.npy", press.score_val.float().numpy())
    evict(press, model)

press.compress_post = keep
with torch.no_grad(), press(model):
    model.model(input_ids=torch.tensor(ids)[None], past_key_values=DynamicCache())
"""


def main() -> int:
    """Print the largest difference of two scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvpress-python", required=True)
    parser.add_argument("--tokens", type=int, default=512)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    turn = [{"role": "user", "content": TEXT.read_text(encoding="utf-8")}]
    text = loaded.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"][: asked.tokens]
    with tempfile.TemporaryDirectory() as place:
        np.save(f"{place}/ids.npy", np.array(ids))
        subprocess.run([asked.kvpress_python, "-c", THEIRS, str(loaded.path), place], check=True)
        theirs = torch.from_numpy(np.load(f"{place}/scores.npy"))
    began = time.process_time()
    context = prefill(loaded, ids, {}, n_sequence=len(ids))
    read = time.process_time()
    ours = torch.stack(read_replay(loaded, context, ids))
    replayed = time.process_time()
    apart = float((ours - theirs)[..., N_SINK:].abs().max())
    print(f"{len(ids)} tokens: largest difference of two scores {apart:.1e}, mean score {float(theirs.mean()):.3f}")
    print(f"prefill {read - began:.2f} CPU s, replay {replayed - read:.2f}")
    return int(apart > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
