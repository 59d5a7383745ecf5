"""The model revision: what was loaded, told by its content and never by its file names or versions."""

import hashlib
import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import UserError

TOKEN_PROBES = (
    "The quick brown fox, 12345!",
    "def f(x):\n    return {'key': x ** 2}\n",
    "  leading and trailing spaces \n\n\ttabs; naïve café, 東京 🙂",
)
"""Texts whose token ids are part of the revision: a wrong tokenizer conversion changes them."""


def model_revision(folder: Path, tokenizer: Any) -> str:
    """SHA-256 over every tensor as stored (name, dtype, shape, bytes) and over known token ids.

    Raises:
        UserError: no safetensors file is there, or one is corrupt.
    """
    digest = hashlib.sha256()
    for name, dtype, shape, data in _tensors(folder):
        digest.update(json.dumps([name, dtype, shape]).encode())
        digest.update(data)
    digest.update(json.dumps([list(tokenizer(text)["input_ids"]) for text in TOKEN_PROBES]).encode())
    return digest.hexdigest()


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
