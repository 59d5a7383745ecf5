"""Saves profiles with everything that determines them, and verifies them when they are loaded."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from ... import UserError
from ...scorers.base import Profile
from ..files.access import write_whole
from ..record.hashing import content_hash

MOST_BYTES = 2**30
"""Upper limit for all arrays of a profile. A curve of LU-KV takes kilobytes to a few megabytes."""


def profile_hash(profile: Profile) -> str:
    """SHA-256 over a profile's arrays and everything that determines them, without notes such as package versions."""
    digest = hashlib.sha256(content_hash([profile.kind, dict(profile.made)]).encode())
    for name, array in sorted(profile.arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), list(array.shape)]).encode())
        # As bytes, since NumPy lacks some dtypes, such as bfloat16.
        digest.update(array.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def storable_arrays(fitted: object) -> dict[str, Tensor]:
    """The arrays that a `fit` returned, as copies on the CPU that share no memory and need no gradient.

    Raises:
        TypeError: it did not return a mapping of names to tensors.
        ValueError: a number is not finite, or safetensors cannot hold a tensor.
    """
    if not isinstance(fitted, Mapping):
        raise TypeError(f"it returned {type(fitted).__name__}, not a mapping of names to tensors")
    for name, array in fitted.items():
        if not (isinstance(name, str) and isinstance(array, Tensor)):
            raise TypeError(f"it returned {type(array).__name__} as {name!r}, and every array is a tensor with a name")
    if (size := sum(array.numel() * array.element_size() for array in fitted.values())) > MOST_BYTES:
        raise ValueError(f"its arrays take {size / 2**30:.1f} GiB, and a profile holds at most {MOST_BYTES >> 30} GiB")
    arrays = {name: array.detach().cpu().contiguous().clone() for name, array in fitted.items()}
    _check_finite(arrays)
    try:
        save(arrays, {"kind": "a trial"})
    except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"its arrays cannot be stored ({error})") from error
    return arrays


def _check_finite(arrays: Mapping[str, Tensor]) -> None:
    for name, array in arrays.items():
        # `isfinite` does not support every float8.
        if not (array.double() if array.is_floating_point() else array).isfinite().all():
            raise ValueError(f"its array {name!r} holds numbers that are not finite")


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile as safetensors, with its origin as JSON in the header and in a readable file beside it.

    Raises:
        UserError: the place cannot be written to.
    """
    origin, notes = dict(profile.made), dict(profile.notes)
    header = {"kind": profile.kind, "hash": profile_hash(profile)}
    readable = json.dumps({**header, "made": origin, "notes": notes}, indent=2, sort_keys=True) + "\n"
    header |= {"made": json.dumps(origin, sort_keys=True), "notes": json.dumps(notes, sort_keys=True)}
    # Not by save_file, whose files are readable only by their owner.
    content = save({name: array.contiguous() for name, array in profile.arrays.items()}, header)
    write_whole(path, "the profile", lambda place: place.write_bytes(content))
    notes_place = path.with_name(path.name + ".json")
    write_whole(notes_place, "the profile's description", lambda place: place.write_text(readable, encoding="utf-8"))


def load_profile(path: Path) -> Profile:
    """Read a profile and verify its content hash.

    Raises:
        UserError: the file is missing, not a profile, or does not match its hash.
    """
    header = read_header(path)
    try:
        profile = Profile(header["kind"], load_file(path), header["made"], header["notes"])
        _check_finite(profile.arrays)
    except (OSError, SafetensorError, ValueError) as error:
        raise _no_profile(path, error) from error
    if profile_hash(profile) != header["hash"]:
        raise UserError(
            f"the profile {path} is corrupt: its content does not match its hash; delete it and make it again."
        )
    return profile


def read_header(path: Path) -> dict[str, Any]:
    """The kind, hash, `made` and `notes` of a profile file.

    Raises:
        UserError: the file is missing or not a profile.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise OSError("it is a folder" if path.is_dir() else "it is not a regular file")
        if path.exists() and path.stat().st_size > 2 * MOST_BYTES:
            raise OSError(f"it is larger than {2 * MOST_BYTES >> 30} GiB")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        facts = {name: json.loads(metadata[name]) for name in ("made", "notes")}
        if not all(isinstance(value, dict) for value in facts.values()):
            raise ValueError("its made or notes is not a JSON object")
        return {name: metadata[name] for name in ("kind", "hash")} | facts
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise _no_profile(path, error) from error


def _no_profile(path: Path, error: Exception) -> UserError:
    try:
        exists = path.exists()
    except OSError:  # a name that no file system accepts
        exists = True
    if not exists:
        return UserError(f"there is no profile {path}; make one with `lukv-bench profile --out FILE`.")
    return UserError(f"{path} is not a profile ({error}); make one with `lukv-bench profile --out FILE`.")
