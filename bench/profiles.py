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
from .calibration.calibrate import CALIBRATION_VERSION, MAX_NEW_TOKENS, TEMPERATURE, Report, Target, calibrate
from .calibration.documents import Document, built_in_documents
from .engine.prompt import chat_form
from .environment import package_versions
from .errors import PluginError
from .hashing import content_hash
from .models.load import LoadedModel
from .places import cache_folder
from .registry import Plugin
from .writable import check_file_place

DEFAULT_SEED = 0


def profile_hash(profile: Profile) -> str:
    """SHA-256 over what was fitted and everything that made it."""
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
    header = {"kind": profile.kind, "made": json.dumps(profile.made, sort_keys=True), "hash": profile_hash(profile)}
    readable = json.dumps({**header, "made": profile.made}, indent=2, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            save_file({name: array.contiguous() for name, array in profile.arrays.items()}, made, metadata=header)
            os.replace(made, path)
        path.with_name(path.name + ".json").write_text(readable, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the profile {path} ({error}); choose another place.") from error


def load_profile(path: Path) -> Profile:
    """Read a profile and verify its content hash.

    Raises:
        UserError: the file is missing, no profile, or not what its hash says.
    """
    kind, made, said = _header(path)
    try:
        profile = Profile(kind=kind, arrays=load_file(path), made=made)
    except (OSError, SafetensorError) as error:
        raise _no_profile(path, error) from error
    if profile_hash(profile) != said:
        raise UserError(
            f"the profile {path} is corrupt: its content is not what its hash says; delete it and make it again."
        )
    return profile


def _header(path: Path) -> tuple[str, dict[str, Any], str]:
    """(kind, what made it, content hash) as a profile file says."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        return header["kind"], json.loads(header["made"]), header["hash"]
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
            f"{path} was made for another model ({made['model']}, revision {made['model_revision'][:12]}), not for "
            f"{loaded.name} ({loaded.revision[:12]}); make one with `lukv-bench profile --model {loaded.name} "
            f"--scorer {scorer.label} --out FILE`."
        )
    if made["scorer"] != scorer.name or made["scorer_arguments"] != dict(scorer.arguments):
        raise UserError(
            f"{path} was made for the scorer {made['scorer']} {made['scorer_arguments'] or ''}, not for "
            f"{scorer.label}; make one with `lukv-bench profile --scorer {scorer.label} --out FILE`."
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
    kind_here, made, _ = _header(path)
    return kind_here == kind and all(made.get(name) == value for name, value in wanted.items())


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
        made = _identity(allocator, scorer, protection, loaded, documents, seed) | _circumstances(loaded, scorer)
        profiles[name] = Profile(kind=allocator.name, arrays=arrays, made=made)
    return profiles


def _fit(allocator: Plugin, documents: tuple[CalibrationDocument, ...]) -> dict[str, Tensor]:
    try:
        return {key: array.float() for key, array in allocator.instance.fit(documents).items()}
    except Exception as error:  # a stranger's fit may raise anything
        raise PluginError(f"fitting a profile of {allocator.name} failed: {error}") from error


def _fit_arguments(allocator: Plugin) -> dict[str, Any]:
    return {name: value for name, value in allocator.arguments.items() if name != "profile"}


def _identity(
    allocator: Plugin,
    scorer: Plugin,
    protection: Protection,
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
) -> dict[str, Any]:
    """What tells one profile from another before it is made."""
    return {
        "model_revision": loaded.revision,
        "arguments": _fit_arguments(allocator),
        "scorer": scorer.name,
        "scorer_arguments": dict(scorer.arguments),
        "sink": protection.sink,
        "window": protection.window,
        "documents": [
            {"name": document.name, "sha256": document.sha256, "questions": len(document.questions)}
            for document in documents
        ],
        "seed": seed,
        "calibration_version": CALIBRATION_VERSION,
    }


def _circumstances(loaded: LoadedModel, scorer: Plugin) -> dict[str, Any]:
    """What else a reader wants to know of how a profile was made."""
    return {
        "model": loaded.name,
        "scorer_origin": scorer.description.origin,
        "temperature": TEMPERATURE,
        "max_new_tokens": MAX_NEW_TOKENS,
        "chat_form": chat_form(loaded.tokenizer),
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
