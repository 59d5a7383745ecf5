"""Profiles as files: saved with everything that made them, verified when loaded, made when missing."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import UserError, __version__
from ..scorers.base import CalibrationDocument, Profile, Protection
from .calibration.calibrate import (
    CALIBRATION_VERSION,
    KEPT_SHARE,
    MAX_NEW_TOKENS,
    TEMPERATURE,
    Report,
    Target,
    calibrate,
)
from .calibration.documents import Document, built_in_documents
from .environment import package_versions
from .errors import PluginError
from .hashing import content_hash
from .models.load import LoadedModel
from .places import cache_folder
from .registry import Plugin
from .writable import check_file_place

DEFAULT_SEED = 0


def profile_hash(profile: Profile) -> str:
    """SHA-256 over what was fitted and what decides it; circumstances, such as package versions, are left out."""
    digest = hashlib.sha256(content_hash([profile.kind, dict(profile.made)]).encode())
    for name, array in sorted(profile.arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), list(array.shape)]).encode())
        digest.update(array.contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile as safetensors, its origin as JSON in the header and, to be read, in a file beside it.

    Raises:
        UserError: the place cannot be written to.
    """
    made, notes = dict(profile.made), dict(profile.notes)
    header = {"kind": profile.kind, "hash": profile_hash(profile)}
    readable = json.dumps({**header, "made": made, "notes": notes}, indent=2, sort_keys=True) + "\n"
    header |= {"made": json.dumps(made, sort_keys=True), "notes": json.dumps(notes, sort_keys=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            beside = Path(scratch) / path.name
            save_file({name: array.contiguous() for name, array in profile.arrays.items()}, beside, metadata=header)
            os.replace(beside, path)
        path.with_name(path.name + ".json").write_text(readable, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the profile {path} ({error}); choose another place.") from error


def load_profile(path: Path) -> Profile:
    """Read a profile and verify its content hash.

    Raises:
        UserError: the file is missing, no profile, or not what its hash says.
    """
    header = _header(path)
    try:
        profile = Profile(header["kind"], load_file(path), header["made"], header["notes"])
    except (OSError, SafetensorError) as error:
        raise _no_profile(path, error) from error
    if profile_hash(profile) != header["hash"]:
        raise UserError(
            f"the profile {path} is corrupt: its content is not what its hash says; delete it and make it again."
        )
    return profile


def _header(path: Path) -> dict[str, Any]:
    """Kind, hash, made and notes as a profile file says."""
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
        return {name: said[name] for name in ("kind", "hash")} | {
            name: json.loads(said[name]) for name in ("made", "notes")
        }
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _no_profile(path, error) from error


def _no_profile(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a profile ({error}); delete it and make one with `lukv-bench profile --out FILE`.")


def check_profile(profile: Profile, path: Path, allocator: Plugin, scorer: Plugin, loaded: LoadedModel) -> None:
    """Refuse a profile that was made for something else.

    Raises:
        UserError: with what it was made for.
    """
    made = profile.made
    if profile.kind != allocator.name:
        raise UserError(f"{path} is a profile of {profile.kind}, not of {allocator.name}.")
    if made["model_revision"] != loaded.revision:
        raise UserError(
            f"{path} was made for another model ({profile.notes.get('model')}, revision "
            f"{made['model_revision'][:12]}), not for {loaded.name} ({loaded.revision[:12]}); make one with "
            f"`lukv-bench profile --model {loaded.name} --scorer {scorer.label} --out FILE`."
        )
    here = {"scorer": scorer.name, "scorer_arguments": _arguments(scorer), "scorer_code": _code(scorer)}
    if any(made.get(name) != value for name, value in here.items()):
        there = " ".join(str(made[name]) for name in here if made.get(name))
        raise UserError(
            f"{path} was made for the scorer {there}, not for {scorer.label} {_code(scorer) or ''}; make one with "
            f"`lukv-bench profile --scorer {scorer.label} --out FILE`."
        )


def obtain_profile(
    allocator: Plugin, scorer: Plugin, protection: Protection, loaded: LoadedModel, report: Report
) -> Profile:
    """The profile that the user named, that ships, that lies in the cache; made and cached if there is none.

    Raises:
        UserError: the file named is not a profile for this model and scorer.
    """
    named = str(allocator.arguments.get("profile", ""))
    if named:
        path = Path(named).expanduser()
        profile = load_profile(path)
        check_profile(profile, path, allocator, scorer, loaded)
        return profile
    wanted = _identity(allocator, scorer, protection, loaded, built_in_documents(), DEFAULT_SEED)
    for folder in (_shipped_folder(), cache_folder() / "profiles"):
        for path in sorted(folder.glob("*.safetensors")):
            if _is_made_as(path, allocator.name, wanted):
                return load_profile(path)
    name = f"{allocator.name}-{scorer.name}-{loaded.revision[:8]}-{content_hash(wanted)[:8]}.safetensors"
    place = cache_folder() / "profiles" / name
    check_file_place(place, "the profile's place in the cache,")
    (profile,) = make_profiles(
        allocator, {scorer.name: (scorer, protection)}, loaded, built_in_documents(), DEFAULT_SEED, report
    ).values()
    save_profile(profile, place)
    return profile


def _shipped_folder() -> Path:
    return Path(str(resources.files("lukv_bench.bench"))) / "shipped_profiles"


def _is_made_as(path: Path, kind: str, wanted: Mapping[str, Any]) -> bool:
    header = _header(path)
    return bool(header["kind"] == kind and all(header["made"].get(name) == value for name, value in wanted.items()))


def make_profiles(
    allocator: Plugin,
    scorers: Mapping[str, tuple[Plugin, Protection]],
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
    report: Report,
) -> dict[str, Profile]:
    """Calibrate once and fit a profile for each scorer.

    Raises:
        UserError: a document does not suit the model.
        PluginError: a scorer failed, or the fit.
    """
    targets = {name: Target(scorer.instance, protection) for name, (scorer, protection) in scorers.items()}
    seen = calibrate(loaded, targets, documents, seed, report)
    profiles = {}
    for number, (name, (scorer, protection)) in enumerate(scorers.items()):
        report(f"fitting the profile of {name}", number, len(scorers))
        arrays = _fit(allocator, seen[name])
        made = _identity(allocator, scorer, protection, loaded, documents, seed)
        profiles[name] = Profile(allocator.name, arrays, made, _circumstances(loaded))
    return profiles


def _fit(allocator: Plugin, documents: tuple[CalibrationDocument, ...]) -> dict[str, Tensor]:
    try:
        return dict(allocator.instance.fit(documents))
    except Exception as error:  # a stranger's fit may raise anything
        raise PluginError(f"fitting a profile of {allocator.name} failed: {error}") from error


def _fit_arguments(allocator: Plugin) -> dict[str, Any]:
    return {name: value for name, value in _arguments(allocator).items() if name != "profile"}


def _arguments(plugin: Plugin) -> dict[str, Any]:
    """A plugin's arguments, an inner plugin's by its name, arguments and code."""
    inner = {
        name: {"name": held.name, "arguments": _arguments(held), "code": _code(held)}
        for name, held in plugin.inner.items()
    }
    return {**plugin.arguments, **inner}


def _identity(
    allocator: Plugin,
    scorer: Plugin,
    protection: Protection,
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
) -> dict[str, Any]:
    """What tells one profile from another before it is made."""
    told = {"scorer_kept_share": KEPT_SHARE} if scorer.instance.reads.budget else {}
    return told | {
        "model_revision": loaded.revision,
        "arguments": _fit_arguments(allocator),
        "scorer": scorer.name,
        "scorer_arguments": _arguments(scorer),
        "scorer_code": _code(scorer),
        "allocator_code": _code(allocator),
        "chat_template": content_hash(loaded.tokenizer.chat_template)[:12],
        "sink": protection.sink,
        "window": protection.window,
        "documents": [
            {"name": document.name, "sha256": document.sha256, "questions": len(document.questions)}
            for document in documents
        ],
        "seed": seed,
        "temperature": TEMPERATURE,
        "max_new_tokens": MAX_NEW_TOKENS,
        "calibration_version": CALIBRATION_VERSION,
    }


def _code(plugin: Plugin) -> str | None:
    """Whose code a plugin is; None for our own, which `CALIBRATION_VERSION` speaks for."""
    known = plugin.description
    return None if known.distribution == "lukv-bench" else f"{known.distribution} {known.version}"


def _circumstances(loaded: LoadedModel) -> dict[str, Any]:
    """What else a reader wants to know of how a profile was made."""
    return {
        "model": loaded.name,
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
