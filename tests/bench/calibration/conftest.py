"""The model that is calibrated."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.load import LoadedModel, ModelShape

from .letters import HQ, LETTERS, N_LAYERS, D, H, letter_tokenizer


@pytest.fixture(scope="package")
def loaded() -> LoadedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(LETTERS),
        hidden_size=HQ * D,
        intermediate_size=64,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=HQ,
        num_key_value_heads=H,
        head_dim=D,
        max_position_embeddings=1024,
        initializer_range=0.3,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    shape = ModelShape(N_LAYERS, H, HQ, D, 1024)
    made = LoadedModel("tiny", Path("nowhere"), "none", model, letter_tokenizer(), shape, "float32", frozenset())
    prove_attention(made)
    return made
