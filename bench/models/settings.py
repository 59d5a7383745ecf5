"""Reads a model's settings (configuration, tokenizer, EOS tokens) from its folder; errors are one sentence each."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ... import UserError
from ..errors import first_line
from .aliases import ALIASES


def model_settings(name: str, path: Path) -> tuple[Any, Any, frozenset[int]]:
    """(configuration, tokenizer, EOS ids) of the model in a folder.

    Raises:
        UserError: they cannot be read, or the tokenizer cannot tell where a context ends.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _refuse_stripped_python()
    with readable(name, path):
        config, tokenizer, eos = _read(path)
    if not tokenizer.is_fast:
        raise UserError(f"{name} has no fast tokenizer, and the context's end cannot be found without one.")
    return config, tokenizer, eos


def _refuse_stripped_python() -> None:
    """transformers reads its own docstrings at import."""
    if sys.flags.optimize >= 2:
        raise UserError("Python runs without docstrings, and transformers needs its own; unset PYTHONOPTIMIZE (-OO).")


@contextmanager
def readable(name: str, path: Path) -> Iterator[None]:
    """Turn any exception of a library over a model's files into one sentence."""
    try:
        yield
    except Exception as error:  # transformers and tokenizers raise anything, bare Exception included
        reason = first_line(error)
        if name in ALIASES:
            raise corrupt(name, path, reason) from error
        if isinstance(error, UserError):
            raise
        raise UserError(f"the model in {path} cannot be loaded ({reason.rstrip('.')}).") from error


def corrupt(name: str, path: Path, reason: str) -> UserError:
    """The error for corrupt files of an alias."""
    return UserError(
        f"the files of {name} in {path} are corrupt ({reason.rstrip('.')}); delete that folder and run the command "
        "again."
    )


def _read(path: Path) -> tuple[Any, Any, frozenset[int]]:
    """(configuration, tokenizer, EOS ids)."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    eos = getattr(config.get_text_config(decoder=True), "eos_token_id", None)
    if (path / "generation_config.json").is_file():
        eos = GenerationConfig.from_pretrained(path).eos_token_id
    ids = eos if isinstance(eos, list) else [eos]
    return config, tokenizer, frozenset(int(i) for i in [*ids, tokenizer.eos_token_id] if i is not None)
