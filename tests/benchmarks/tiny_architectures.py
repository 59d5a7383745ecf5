"""A tiny model with random weights of any decoder that transformers knows, in a folder as a user would have it."""

import re
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 128
WINDOW = 40
"""Tokens that any sliding window or chunk spans."""
PROMPT, ANSWER = 64, 16
"""Tokens of a prompt, beyond the window, and the most of its answer."""
POSITIONS = 512
SIZES: dict[str, Any] = {
    r"vocab_size|.*_vocab_size|vocab_size_per_layer_input|unpadded_vocab_size|entity_vocab_size": VOCABULARY,
    r"hidden_size|n_embd|d_model|embedding_size|dim_model|embedding_dim|emb_dim|word_embed_proj_dim|lru_width"
    r"|backbone_hidden_size|input_embedding_size|output_embedding_size|hidden_size_global|attention_hidden_size": 32,
    r".*intermediate_size(_mlp)?|.*ffn_dim|n_inner|ffn_hidden_size|dff|dim_ff|d_inner|feed_forward_size|mlp_dim": 48,
    r"num_hidden_layers|n_layers?|num_layers|num_decoder_layers|decoder_layers|encoder_layers|num_encoder_layers"
    r"|num_blocks|depth": 4,
    r"num_attention_heads|n_heads?|num_heads|decoder_attention_heads|encoder_attention_heads|attention_heads"
    r"|num_decoder_attention_heads|num_encoder_attention_heads|swa_num_attention_heads": 4,
    r"num_key_value_heads|swa_num_key_value_heads|num_kv_heads|num_query_groups|num_global_key_value_heads": 2,
    r"head_dim|swa_head_dim|global_head_dim|dim_head|d_head|attention_head_size|kv_channels|d_kv": 8,
    r"qk_nope_head_dim|v_head_dim|index_head_dim": 16,
    r"qk_rope_head_dim|rotary_dim": 8,
    r"kv_lora_rank|q_lora_rank|o_lora_rank": 16,
    r"index_n_heads|index_topk.*|index_block_size|o_groups": 4,
    r"max_position_embeddings|n_positions|n_ctx|max_seq_len|context_length|model_max_length|max_target_positions"
    r"|max_source_positions": POSITIONS,
    r"sliding_window(_size)?|attention_chunk_size|window_size|local_attention|attention_window_size"
    r"|keep_window_size|local_attention_window_len": WINDOW,
    r"num_experts|n_routed_experts|num_local_experts|moe_num_experts|zero_expert_num": 4,
    r"num_experts_per_tok(en)?|moe_topk|moe_k": 2,
    r"n_group|topk_group|num_expert_group|n_groups|mamba_n_groups|first_k_dense_replace|moe_layer_start_index": 1,
    r"linear_num_key_heads|linear_num_value_heads|linear_num_heads|mamba_n_heads|mamba_num_heads": 4,
    r"linear_key_head_dim|linear_value_head_dim|linear_head_dim|mamba_d_head|mamba_head_dim|mamba_headdim": 16,
    r"mamba_d_state|state_size|ssm_state_size|mamba_chunk_size|chunk_size|block_size|adapter_rank": 8,
    r"bos_token_id": 1,
    r"eos_token_id|decoder_start_token_id|sep_token_id|cls_token_id": 2,
    r"pad_token_id": 0,
    r"(image|video|audio|vision_start|vision_end|boi|eoi|boa|eoa|mask)_token_id|(image|boi|eoi|eoa)_token_index": 3,
    r"query_pre_attn_scalar": 8,
}
"""By the name of a setting what it is made; what is not named stays as transformers has it."""
UNSET = r"head_dim|num_key_value_heads|n_routed_experts|num_experts_per_tok|moe_intermediate_size"
"""Settings that are made small where transformers leaves them unset, too."""
OWN: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {
        "num_hidden_layers": 5,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2 + ["sliding_attention"],
        "activation_sparsity_pattern": [0.0] * 5,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 8,
    },
    "gemma3_text": {"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
}
"""By model type what it needs besides."""


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2 with windows": ("qwen2", {"use_sliding_window": True, "max_window_layers": 2, "sliding_window": WINDOW}),
    "gemma4_text with borrowed layers": (
        "gemma4_text",
        {
            "num_hidden_layers": 6,
            "num_kv_shared_layers": 2,
            "layer_types": ["sliding_attention", "full_attention"] * 3,
            "global_head_dim": 12,
            "num_global_key_value_heads": 1,
            "attention_k_eq_v": True,
        },
    ),
}
"""Types with other settings, by name: they are examined as types of their own."""


def prompt_length(reach: int) -> int:
    """Tokens of a prompt: shorter where every layer slides, so that the model is served within its window alone."""
    return min(PROMPT, reach - ANSWER)


def model_types() -> list[str]:
    """Every decoder that transformers builds with `AutoModelForCausalLM`."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str, **settings: Any) -> PreTrainedConfig:
    """A configuration of the type, made small."""
    kind = CONFIG_MAPPING[model_type]
    return kind(**_shrunk(kind()) | OWN.get(model_type, {}) | settings)


def _shrunk(config: PreTrainedConfig) -> dict[str, Any]:
    small: dict[str, Any] = {}
    for name, value in vars(config).items():
        if isinstance(value, PreTrainedConfig):
            small[name] = type(value)(**_shrunk(value) | OWN.get(value.model_type, {}))
        elif (isinstance(value, int) and not isinstance(value, bool)) or (value is None and re.fullmatch(UNSET, name)):
            sizes = [size for pattern, size in SIZES.items() if re.fullmatch(pattern, name)]
            small |= {name: sizes[0]} if sizes else {}
    if "kv_lora_rank" in vars(config):  # latent attention has no groups
        small["num_key_value_heads"] = 4
    if "is_decoder" in vars(config):  # what BERT's kind has to be told
        small["is_decoder"] = True
    return small


def random_model(config: PreTrainedConfig) -> Any:
    """A model in float32 whose every weight matters, biases and norms included."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config).float().eval()
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        parameter.data = (
            parameter.data + 0.2 * noise if parameter.dim() < 2 else noise * 1.5 / parameter.shape[-1] ** 0.5
        )
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    """A fast tokenizer of as many words as the vocabulary has."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, VOCABULARY)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<pad>"
    )


def save_tiny(model_type: str, folder: Path, **settings: Any) -> None:
    """Save a tiny model of the type and its tokenizer into a folder."""
    kind, own = VARIANTS.get(model_type, (model_type, {}))
    model = random_model(tiny_config(kind, **own | settings))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
