"""The model revision: a hash of the model's content, independent of file names and library versions."""

import hashlib
import json
import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from ... import UserError
from ..record.hashing import content_hash
from .layers import layered

TOKEN_PROBES = (
    "The quick brown fox, 12345!",
    "def f(x):\n    return {'key': x ** 2}\n",
    "  leading and trailing spaces \n\n\ttabs; naïve café, 東京 🙂",
)
"""Texts whose token ids are part of the revision: a wrong tokenizer conversion changes them."""

DECODING_PROBE = "It is n't so , said he . Why ? \n 'Tis ! I 'm , you 've , they 're"
"""A text that a tokenizer with `clean_up_tokenization_spaces` decodes without some of its spaces."""


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
    "num_kv_shared_layers",
)
"""Settings that change answers though no tensor changes: YaRN, for one, is an edit of config.json. They are named one
by one, because a whole configuration carries library versions and grows with them."""


def model_revision(folder: Path, tokenizer: Any, config: Any, eos: Collection[int]) -> str:
    """SHA-256 over every loaded tensor as stored, the settings that change answers, the EOS set and known token ids.

    Raises:
        UserError: no safetensors file is there, or one is corrupt.
    """
    digest = hashlib.sha256()
    for name, dtype, shape, data in _tensors(weight_files(folder, config)):
        digest.update(json.dumps([name, dtype, shape]).encode())
        digest.update(data)
    decoder = config.get_text_config(decoder=True)  # of a multimodal model, the text decoder
    settings = {name: _without_unset(layered(decoder, name)) for name in SETTINGS}
    settings = {name: value for name, value in settings.items() if value is not None}
    tokens = [list(tokenizer(text)["input_ids"]) for text in TOKEN_PROBES]
    digest.update(content_hash([settings, sorted(eos), tokens]).encode())
    if decoding := _decoding(tokenizer):
        digest.update(content_hash(decoding).encode())
    return digest.hexdigest()


def _decoding(tokenizer: Any) -> list[Any]:
    """Unusual decoding of the tokenizer: added tokens that are not special, so that their text stays in an answer, or
    that absorb white space around them, and probes that do not decode to themselves. Empty for most models, whose
    revision thereby does not depend on it."""
    odd = [
        [number, token.content, token.special, token.lstrip, token.rstrip, token.single_word]
        for number, token in sorted(tokenizer.added_tokens_decoder.items())
        if not token.special or token.lstrip or token.rstrip or token.single_word
    ]
    changed = []
    for text in (*TOKEN_PROBES, DECODING_PROBE):
        decoded = str(tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]))
        if decoded != text:
            changed.append([text, decoded])
    return [odd, changed] if odd or changed else []


def _without_unset(value: Any) -> Any:
    """A setting without its unset entries, so that new entries of a later library version change nothing."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def weight_files(folder: Path, config: Any) -> list[Path]:
    """The weight files that transformers loads; other files of the folder are ignored.

    Raises:
        UserError: there are none, one is missing, or an adapter would be loaded on top of them.
    """
    if (folder / "adapter_config.json").exists():
        raise UserError(
            f"{folder} holds a PEFT adapter (adapter_config.json), which is loaded or ignored depending on what is "
            "installed; merge it with merge_and_unload() and save the model, or remove that file."
        )
    named = getattr(config, "transformers_weights", None)
    names = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME) if named is None else (str(named),)
    first = next((folder / name for name in names if (folder / name).is_file()), None)
    if first is None:
        raise UserError(f"{folder} holds no {names[0]}; save the model there with save_pretrained().")
    if first.suffix != ".json":
        return [first]
    files = [folder / name for name in sorted(set(json.loads(first.read_bytes())["weight_map"].values()))]
    if lost := [file.name for file in files if not file.is_file()]:
        raise UserError(f"{folder} lacks {lost[0]}, which {first.name} names; fetch or copy the model again.")
    return files


def _tensors(files: Collection[Path]) -> Iterator[tuple[str, str, list[int], memoryview]]:
    tensors = [(name, entry, file) for file in files for name, entry in header(file).items()]
    for name, entry, file in sorted(tensors, key=lambda item: (item[0], item[2])):
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
            start = 8 + int.from_bytes(view[:8], "little")
            first, last = entry["data_offsets"]
            with memoryview(view) as whole, whole[start + first : start + last] as data:
                yield name, entry["dtype"], entry["shape"], data


def header(file: Path) -> dict[str, Any]:
    """By name of each tensor of a safetensors file its dtype, shape and place.

    Raises:
        UserError: the file is corrupt.
    """
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
