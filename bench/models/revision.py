"""The model revision: what was loaded, told by its content and never by its file names or versions."""

import hashlib
import json
import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ... import UserError
from ..hashing import content_hash

TOKEN_PROBES = (
    "The quick brown fox, 12345!",
    "def f(x):\n    return {'key': x ** 2}\n",
    "  leading and trailing spaces \n\n\ttabs; naïve café, 東京 🙂",
)
"""Texts whose token ids are part of the revision: a wrong tokenizer conversion changes them."""


SETTINGS = (
    "model_type",
    "hidden_act",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "num_experts_per_tok",
    "max_position_embeddings",
    "rope_parameters",
    "partial_rotary_factor",
    "rms_norm_eps",
    "sliding_window",
    "use_sliding_window",
    "layer_types",
    "attention_chunk_size",
    "no_rope_layers",
    "norm_topk_prob",
    "tie_word_embeddings",
    "attention_multiplier",
    "embedding_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "clip_qkv",
    "logit_scale",
    "layer_norm_eps",
    "hidden_activation",
    "routed_scaling_factor",
)
"""Settings that change answers though no tensor changes: YaRN, for one, is an edit of config.json. They are named one
by one, because a whole configuration carries library versions and grows with them."""


def model_revision(folder: Path, tokenizer: Any, config: Any, eos: Collection[int]) -> str:
    """SHA-256 over every tensor as stored, the settings that change answers, the EOS set and known token ids.

    Raises:
        UserError: no safetensors file is there, or one is corrupt.
    """
    digest = hashlib.sha256()
    for name, dtype, shape, data in _tensors(folder):
        digest.update(json.dumps([name, dtype, shape]).encode())
        digest.update(data)
    settings = {name: _said(getattr(config, name, None)) for name in SETTINGS}
    settings = {name: value for name, value in settings.items() if value is not None}
    tokens = [list(tokenizer(text)["input_ids"]) for text in TOKEN_PROBES]
    digest.update(content_hash([settings, sorted(eos), tokens]).encode())
    return digest.hexdigest()


def _said(value: Any) -> Any:
    """A setting without what is not set in it, so that a library that learns new settings changes nothing."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def _tensors(folder: Path) -> Iterator[tuple[str, str, list[int], memoryview]]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no .safetensors file; save the model there with save_pretrained().")
    found = [(name, entry, file) for file in files for name, entry in _header(file).items()]
    for name, entry, file in sorted(found, key=lambda item: (item[0], item[2])):
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
            start = 8 + int.from_bytes(view[:8], "little")
            first, last = entry["data_offsets"]
            with memoryview(view) as whole, whole[start + first : start + last] as data:
                yield name, entry["dtype"], entry["shape"], data


def _header(file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        try:
            if not 0 < length <= size - 8:
                raise ValueError("its header is cut off")
            header: dict[str, Any] = json.loads(handle.read(length))
            header.pop("__metadata__", None)
            end = max(entry["data_offsets"][1] for entry in header.values())
            if 8 + length + end != size:
                raise ValueError(f"it has {size} bytes where its header says {8 + length + end}")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"the model file {file} is corrupt ({error}); fetch or copy it again.") from error
    return header
