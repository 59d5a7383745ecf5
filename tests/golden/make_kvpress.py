"""Golden files: what kvpress 0.5.5 keeps. Made in an environment of its own, by two commands from the repository root:

    python3 -m venv ~/kvpress && ~/kvpress/bin/pip install kvpress==0.5.5 'transformers==5.2.*' torch==2.13.0
    ~/kvpress/bin/python tests/golden/make_kvpress.py [--default-model FOLDER]

FOLDER is the default model as `lukv-bench` converted it (`path` in `lukv-bench list models --json`); without it, that
model's file is left as it is. `tests/bench/test_kvpress_equality.py` replays the files without kvpress.

The LU-KV cases read lukv-curves.npz, which make_lukv_curves.py makes in the environment of `lukv-bench`.

A file NAME.npz holds, for every context length T and every case ALLOCATOR/SCORER/RATIO:
    about                  JSON: versions, the model's digest, and the presses by case
    T/ids                  int [T]
    T/CASE/kept            bits of bool [L, H, T], read off kvpress's cache or masks, not recomputed
    T/CASE/cut             float32 [L, H or 1, 2], the lowest score kept and the highest evicted (of a layer where a
                           press pools its heads; a head's safe tokens do not count): equal at a tie; LU-KV has none
    T/scores/SCORER        float32 [L, H, T], for some T of a tiny model; at the largest ratio where it matters
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kvpress  # before any attention function is registered: it wraps those that there are
import numpy as np
import torch
from models import LUKV_LENGTHS, MODELS, SINK, seeded_ids, seeded_model
from models import WINDOW as LUKV_WINDOW
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

HERE = Path(__file__).resolve().parent
TEXT = HERE.parents[1] / "bench" / "texts" / "narrative.txt"
WINDOW = 64
SCORERS: dict[str, Callable[[float], Any]] = {
    "keydiff": lambda r: kvpress.KeyDiffPress(r),
    "knorm": lambda r: kvpress.KnormPress(r),
    "snapkv": lambda r: kvpress.SnapKVPress(r, window_size=WINDOW, kernel_size=5),
    "streaming_llm": lambda r: kvpress.StreamingLLMPress(r),
    "tova": lambda r: kvpress.TOVAPress(r),
    "expected_attention": lambda r: kvpress.ExpectedAttentionPress(r),
    "expected_attention_eps": lambda r: kvpress.ExpectedAttentionPress(r, epsilon=2e-2),
    "h2o": lambda r: kvpress.ObservedAttentionPress(r),
    "critical_knorm": lambda r: kvpress.CriticalKVPress(kvpress.KnormPress(r)),
    "critical_snapkv": lambda r: kvpress.CriticalKVPress(kvpress.SnapKVPress(r, window_size=WINDOW, kernel_size=5)),
}
POOLED = ("keydiff", "knorm", "snapkv")
OTHERS: dict[str, tuple[int, Callable[[], Any]]] = {
    "CapPress": (131, kvpress.CapPress),
    "CURPress": (131, kvpress.CURPress),
    "NonCausalAttnPress": (131, kvpress.NonCausalAttnPress),
    "PyramidKVPress": (131, kvpress.PyramidKVPress),
    "LagKVPress": (389, kvpress.LagKVPress),
}
"""Presses whose scores alone are kept, for docs/examples/kvpress_scorers, by context length."""
TINY_LENGTHS, REAL_LENGTHS = (71, 131, 389), (193, 411)
TINY_RATIOS, REAL_RATIOS = ("0.25", "0.5", "0.8"), ("0.5", "0.8")


def cases(n_tokens: int, ratios: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(allocator, scorer, ratio) wherever kvpress's count is floor((1 - r) T) and holds a scorer's whole window."""
    for ratio in ratios:
        n_kept = int(n_tokens * (1 - float(ratio)))
        assert n_kept == int(n_tokens * (1 - Fraction(ratio))), "choose another length"
        for scorer in SCORERS:
            if "snapkv" in scorer and n_kept <= WINDOW:
                continue
            yield "uniform", scorer, ratio
            if scorer in POOLED:
                yield "adakv", scorer, ratio


@torch.inference_mode()
def compress(model: Any, ids: list[int], allocator: str, press: Any) -> tuple[np.ndarray, np.ndarray]:
    """(kept bool [L, H, T], scores float32 [L, H, T]) of one prefill under a press."""
    masks = allocator != "uniform"
    inner = press.press if masks else press
    tables: list[torch.Tensor] = []
    score = inner.score

    def watched(*arguments: Any) -> torch.Tensor:
        tables.append(score(*arguments))
        return tables[-1].clone()  # AdaKV writes into what it is given

    inner.score = watched
    attention = "eager" if isinstance(inner, kvpress.ObservedAttentionPress) else "sdpa"
    model.set_attn_implementation(attention)
    full, pressed = DynamicCache(), DynamicCache()
    model.model(input_ids=torch.tensor([ids]), past_key_values=full)
    with press(model):
        model.model(input_ids=torch.tensor([ids]), past_key_values=pressed)
    kept = [
        _unmasked(layer.self_attn, before.keys) if masks else _found(before.keys[0], after.keys[0])
        for layer, before, after in zip(model.model.layers, full.layers, pressed.layers, strict=True)
    ]
    return torch.stack(kept).numpy(), torch.cat(tables).float().numpy()


def _found(full: torch.Tensor, pressed: torch.Tensor) -> torch.Tensor:
    """bool [H, T]: the positions of the full cache whose very keys are in the compressed one."""
    same = (full[:, :, None] == pressed[:, None]).all(-1)
    assert (same.sum(1) == 1).all(), "a key was found twice, or not at all"
    return same.any(-1)


def _unmasked(module: Any, keys: torch.Tensor) -> torch.Tensor:
    """bool [H, T]: what kvpress does not mask; its note stays on the module, so it is taken off."""
    kept = torch.ones(keys.shape[1:3], dtype=torch.bool)
    if module.masked_key_indices is not None:
        _, heads, positions = module.masked_key_indices
        kept[heads, positions] = False
    module.masked_key_indices = None
    return kept


def cut(kept: np.ndarray, scores: np.ndarray, pooled: bool) -> np.ndarray:
    """float32 [L, H or 1, 2]: lowest score kept, highest evicted."""
    chosen = kept
    if pooled:
        n_safe = max(1, int(kept[0].sum() // kept.shape[1] * 0.2))
        safe = scores.argsort(-1).argsort(-1) >= kept.shape[-1] - n_safe
        chosen, kept, scores = (x.reshape(len(x), 1, -1) for x in (kept & ~safe, kept, scores))
    low = np.where(chosen, scores, np.inf).min(-1)
    high = np.where(kept, -np.inf, scores).max(-1)
    return np.stack([low, high], -1).astype(np.float32)


def golden(model: Any, contexts: list[list[int]], ratios: tuple[str, ...], scores_below: int) -> dict[str, np.ndarray]:
    """Every array of a model's file but `about`, which gets its presses added by the caller."""
    arrays: dict[str, np.ndarray] = {}
    presses = {}
    for ids in contexts:
        n_tokens = len(ids)
        arrays[f"{n_tokens}/ids"] = np.array(ids, dtype=np.uint16)
        for allocator, scorer, ratio in cases(n_tokens, ratios):
            press = SCORERS[scorer](float(ratio))
            press = kvpress.AdaKVPress(press) if allocator == "adakv" else press
            presses[f"{allocator}/{scorer}/{ratio}"] = repr(press)
            kept, scores = compress(model, ids, allocator, press)
            case = f"{n_tokens}/{allocator}/{scorer}/{ratio}"
            arrays[f"{case}/kept"] = np.packbits(kept)
            arrays[f"{case}/cut"] = cut(kept, scores, allocator == "adakv")
            if n_tokens < scores_below and allocator == "uniform" and not scorer.startswith("critical"):
                arrays[f"{n_tokens}/scores/{scorer}"] = scores
        for name, (length, make) in OTHERS.items():
            if length == n_tokens and scores_below:
                press = make()
                press.compression_ratio = 0.5
                arrays[f"{n_tokens}/scores/{name}"] = compress(model, ids, "uniform", press)[1]
    return arrays | {"presses": np.array(json.dumps(presses))}


def lukv_cases(name: str, model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """(key, kept bits) of LUKVPress with our curves."""
    curves = np.load(HERE / "lukv-curves.npz")
    for n_tokens in LUKV_LENGTHS:
        for ratio in TINY_RATIOS:
            press = kvpress.LUKVPress(kvpress.KeyDiffPress(), float(ratio), sink=SINK, window=LUKV_WINDOW)
            press._budget_curves = curves[f"{name}/{n_tokens}"]
            kept, _ = compress(model, seeded_ids(n_tokens), "lukv", press)
            yield f"{n_tokens}/lukv/keydiff/{ratio}/kept", np.packbits(kept)


def save(name: str, model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write a file whose bytes depend on nothing but its content."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    presses = json.loads(str(arrays.pop("presses")))
    versions = {package: version(package) for package in ("kvpress", "transformers", "torch", "numpy")}
    about = {"versions": versions, "weights_sha256": digest.hexdigest(), "presses": presses}
    np.savez_compressed(HERE / f"kvpress-{name}.npz", about=np.array(json.dumps(about)), **arrays)
    print(f"kvpress-{name}.npz: {sum(key.endswith('/kept') for key in arrays)} cases")


def main() -> None:
    """Make every file that can be made."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--default-model", type=Path, help="folder of the default model")
    folder = parser.parse_args().default_model
    torch.set_num_threads(1)
    for name in MODELS:
        model = seeded_model(name)
        arrays = golden(model, [seeded_ids(n) for n in TINY_LENGTHS], TINY_RATIOS, 132)
        save(name, model, arrays | dict(lukv_cases(name, model)))
    if folder is not None:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        chat = [{"role": "user", "content": TEXT.read_text(encoding="utf-8")[:4000]}]
        text = AutoTokenizer.from_pretrained(folder).apply_chat_template(chat, tokenize=False)
        ids = AutoTokenizer.from_pretrained(folder).encode(text, add_special_tokens=False)
        save("smollm2-135m", model, golden(model, [ids[:n] for n in REAL_LENGTHS], REAL_RATIOS, 0))


if __name__ == "__main__":
    main()
