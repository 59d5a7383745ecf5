"""`python -m kvpress_scorers`: try every score press on a tiny model and print which ones work, as a table."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.layers import ModelShape
from lukv_bench.bench.models.load import LoadedModel

from .presses import obstacle, score_presses
from .scorer import KVPress

N_TOKENS = 389


def tiny_model() -> LoadedModel:
    """A Llama of two layers with random weights, as the engine runs it."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=20,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    loaded = LoadedModel("tiny", Path("."), "none", model, None, ModelShape(2, 2, 6, 20, 2048), "float32", frozenset())
    return prove_attention(loaded)


def verdict(name: str, loaded: LoadedModel) -> str:
    """Yes, or why not."""
    reason = obstacle(score_presses()[name])
    if reason is not None:
        return f"no: {reason}"
    ids = torch.arange(N_TOKENS).mul(7).remainder(61).tolist()
    context = prefill(loaded, ids, {name: KVPress(name)}, n_kept={name: N_TOKENS // 2})
    failure = context.failures.get(name)
    return "yes" if failure is None else f"no: {type(failure).__name__}: {failure}"


def main() -> None:
    """Print the table."""
    loaded = tiny_model()
    print("| press | works |\n|---|---|")
    for name in score_presses():
        print(f"| {name} | {verdict(name, loaded)} |")


if __name__ == "__main__":
    main()
