"""Run where kvpress is installed: the scores that `kvpress:press=...` gives of the golden files' models.

python kvpress_tables.py GOLDEN_FOLDER OUT.npz
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.load import LoadedModel, ModelShape, attention_modules
from lukv_bench.bench.plugins.registry import build

GOLDEN, OUT = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(GOLDEN))
from models import seeded_model  # noqa: E402  # beside the golden files

GOLDEN_PRESSES = {
    "keydiff": "KeyDiffPress",
    "knorm": "KnormPress",
    "snapkv": "SnapKVPress",
    "streaming_llm": "StreamingLLMPress",
    "tova": "TOVAPress",
    "expected_attention": "ExpectedAttentionPress",
    "expected_attention_eps": "ExpectedAttentionPress,options=epsilon=0.02",
}
DRAWING = ("CompactorPress", "LeverageScorePress", "RandomPress")


def loaded_model(name: str) -> LoadedModel:
    """A golden model as the engine runs it."""
    model = seeded_model(name)
    config = model.config
    dim = int(attention_modules(model)[0].head_dim)
    heads = config.num_key_value_heads, config.num_attention_heads
    shape = ModelShape(config.num_hidden_layers, *heads, dim, config.max_position_embeddings)
    loaded = LoadedModel(name, Path("nowhere"), "none", model, None, shape, "float32", frozenset())
    prove_attention(loaded)
    return loaded


def table(loaded: LoadedModel, ids: list[int], press: str, n_kept: int) -> "np.ndarray":
    """float32 [L, H, T]."""
    scorer = build("scorer", f"kvpress:press={press}").instance
    context = prefill(loaded, ids, {"it": scorer}, n_kept={"it": n_kept})
    return context.table("it")[:, 0].numpy()


def main() -> None:
    """Every golden table, and the drawing presses twice."""
    functions = dict(ALL_ATTENTION_FUNCTIONS.items())
    build("scorer", "kvpress:press=KnormPress")
    arrays = {"functions_untouched": np.array(dict(ALL_ATTENTION_FUNCTIONS.items()) == functions)}
    for name in ("llama", "qwen3", "mistral"):
        golden, loaded = np.load(GOLDEN / f"kvpress-{name}.npz"), loaded_model(name)
        for key in golden.files:
            n_tokens, kind, scorer = [*key.split("/"), "", ""][:3]
            press = GOLDEN_PRESSES.get(scorer, scorer)
            if kind == "scores" and (press != scorer or scorer.endswith("Press")):
                ids = golden[f"{n_tokens}/ids"].tolist()
                arrays[f"{name}/{key}"] = table(loaded, ids, press, int(len(ids) * (1 - 0.8)))
        for press in DRAWING:
            ids = golden["131/ids"].tolist()
            torch.manual_seed(len(arrays))  # what the process drew before must not matter
            arrays[f"{name}/first/{press}"] = table(loaded, ids, press, 65)
            arrays[f"{name}/again/{press}"] = table(loaded, ids, press, 65)
        assert all("rotary_emb" not in vars(module) for module in loaded.attention_modules)
    np.savez(OUT, **arrays)


main()
