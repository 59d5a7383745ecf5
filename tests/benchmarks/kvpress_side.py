"""kvpress's part of kvpress_answers.py, run by the Python that has kvpress (tests/golden/make_kvpress.py says how).

python kvpress_side.py FOLDER       reads FOLDER/job.json, writes FOLDER/theirs.json and FOLDER/masks.npz
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import kvpress
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BASES = {"keydiff": kvpress.KeyDiffPress, "knorm": kvpress.KnormPress}


def make_press(config: dict[str, Any], folder: Path, sample: int) -> Any:
    """The press of a configuration; LU-KV's curve is one for each context's length."""
    base, ratio = BASES[config["scorer"]], config["ratio"]
    if config["allocator"] == "uniform":
        return base(ratio)
    if config["allocator"] == "adakv":
        return kvpress.AdaKVPress(base(ratio))
    press = kvpress.LUKVPress(base(), ratio, sink=4, window=1)
    press._budget_curves = np.load(folder / f"curve-{sample}.npy")
    return press


def masks(model: Any) -> np.ndarray | None:
    """Bool [L, H, T] of what is masked, None where nothing is; the notes are taken off the modules."""
    made = []
    for layer in model.model.layers:
        noted = getattr(layer.self_attn, "masked_key_indices", None)
        layer.self_attn.masked_key_indices = None
        made.append(None if noted is None else torch.stack([part.cpu() for part in noted[1:]]).numpy())
    if all(part is None for part in made):
        return None
    flat = [(index, *pair) for index, part in enumerate(made) if part is not None for pair in part.T]
    return np.array(flat, dtype=np.int32)


@torch.inference_mode()
def main() -> None:
    """Every configuration on every sample, through kvpress's pipeline."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32).eval()
    pipeline = kvpress.KVPressTextGenerationPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(job["model"]))
    answers, noted, began = [], {}, time.process_time()
    for number, sample in enumerate(job["samples"]):
        ids = {"context_ids": torch.tensor([sample["context"]]), "questions_ids": [torch.tensor([sample["question"]])]}
        row = []
        for which, config in enumerate(job["configs"]):
            press = make_press(config, folder, number)
            (text,) = pipeline._forward(ids, max_new_tokens=job["new_tokens"], press=press)
            row.append(text)
            if (found := masks(model)) is not None:
                noted[f"{number}/{which}"] = found
        answers.append(row)
        print(f"kvpress: sample {number + 1}/{len(job['samples'])}", file=sys.stderr, flush=True)
    (folder / "theirs.json").write_text(json.dumps({"answers": answers, "cpu_s": time.process_time() - began}))
    np.savez_compressed(folder / "masks.npz", **noted)


if __name__ == "__main__":
    main()
