"""Profiles: the one that was named, that ships, that lies in the cache, or that is made now."""

import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from ... import UserError, __version__
from ...scorers.base import CalibrationDocument, Profile, Protection
from ..calibration.calibrate import (
    CALIBRATION_VERSION,
    KEPT_SHARE,
    MAX_NEW_TOKENS,
    TEMPERATURE,
    Report,
    Target,
    calibrate,
)
from ..calibration.documents import Document, built_in_documents
from ..environment import package_versions
from ..errors import PluginError
from ..file_kinds import ANY
from ..files import check_readable
from ..hashing import content_hash
from ..models.load import LoadedModel
from ..places import cache_folder
from ..plugins.plugin import Plugin
from ..writable import check_file_place
from .file import load_profile, read_header, save_profile, storable_arrays

DEFAULT_SEED = 0


def check_profile(profile: Profile, path: Path, allocator: Plugin, scorer: Plugin, loaded: LoadedModel) -> None:
    """Refuse a profile that was made for something else, or does not say what it was made for.

    Raises:
        UserError: with what it was made for.
    """
    made = profile.made
    if profile.kind != allocator.name:
        raise UserError(f"{path} is a profile of {profile.kind}, not of {allocator.name}.")
    if made.get("model_revision") != loaded.revision:
        raise UserError(
            f"{path} was made for another model ({profile.notes.get('model')}, revision "
            f"{str(made.get('model_revision'))[:12]}), not for {loaded.name} ({loaded.revision[:12]}); make one with "
            f"`lukv-bench profile --model {loaded.name} --scorer {scorer.label} --out FILE`."
        )
    here = {"scorer": scorer.name, "scorer_arguments": _arguments(scorer), "scorer_code": _code(scorer)}
    if any(made.get(name) != value for name, value in here.items()):
        there = " ".join(str(made[name]) for name in here if made.get(name))
        raise UserError(
            f"{path} was made for the scorer {there or '(none is named)'}, not for {scorer.label} "
            f"{_code(scorer) or ''}; make one with `lukv-bench profile --scorer {scorer.label} --out FILE`."
        )
    for what, name, value in (
        (f"other arguments of {allocator.name}", "arguments", _fit_arguments(allocator)),
        (f"other code of {allocator.name}", "allocator_code", _code(allocator)),
        ("another chat template", "chat_template", _template(loaded)),
    ):
        if made.get(name) != value:
            raise UserError(
                f"{path} was made with {what} ({_said(made.get(name))}, here {_said(value)}); leave out profile= and "
                "the run makes one of its own."
            )


def _said(value: object) -> str:
    return "none" if value is None or value == {} else str(value)


def obtain_profile(
    allocator: Plugin, scorer: Plugin, protection: Protection, loaded: LoadedModel, report: Report
) -> Profile:
    """The profile that the user named, that ships, that lies in the cache; made and cached if there is none.

    The shipped ones were calibrated in float32 and serve every dtype; one in the cache serves the dtype it was
    calibrated in.

    Raises:
        UserError: the file named is not a profile for this model and scorer.
        PluginError: the scorer failed, or the fit.
    """
    named = str(allocator.arguments.get("profile", ""))
    if named:
        path = check_readable(named, "the profile")
        profile = load_profile(path)
        check_profile(profile, path, allocator, scorer, loaded)
        return profile
    wanted = _identity(allocator, scorer, protection, loaded, built_in_documents(), DEFAULT_SEED)
    shipped = {name: value for name, value in wanted.items() if name != "dtype"}
    for path in sorted(_shipped_folder().glob("*.safetensors")):
        if _is_made_as(path, allocator.name, shipped):
            return load_profile(path)
    name = f"{allocator.name}-{scorer.name}-{loaded.revision[:8]}-{content_hash(wanted)[:8]}.safetensors"
    place = cache_folder() / "profiles" / name
    cached = _cached(place, allocator.name, wanted)
    if cached is not None:
        return cached
    check_file_place(place, "the profile's place in the cache,", ANY, cure="set LUKV_BENCH_CACHE to another folder")
    (profile,) = make_profiles(
        allocator, {scorer.name: (scorer, protection)}, loaded, built_in_documents(), DEFAULT_SEED, report
    ).values()
    save_profile(profile, place)
    return profile


def _shipped_folder() -> Path:
    return Path(str(resources.files("lukv_bench.bench"))) / "shipped_profiles"


def _cached(place: Path, kind: str, wanted: Mapping[str, Any]) -> Profile | None:
    """The profile at its place in the cache. A file there that is none is told, and replaced by the caller."""
    if not place.is_file():
        return None
    try:
        return load_profile(place) if _is_made_as(place, kind, wanted) else None
    except UserError:
        print(f"lukv-bench: the cached profile {place} is damaged and is made anew.", file=sys.stderr)
        return None


def _is_made_as(path: Path, kind: str, wanted: Mapping[str, Any]) -> bool:
    header = read_header(path)
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
        return storable_arrays(allocator.instance.fit(documents))
    except (Exception, SystemExit) as error:  # a stranger's fit may raise or return anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PluginError(f"fitting a profile of {allocator.name} failed: {reason}") from error


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
    told: dict[str, Any] = {"scorer_kept_share": KEPT_SHARE} if scorer.instance.reads.budget else {}
    if loaded.dtype != "float32":  # float32 goes without saying: profiles from before the dtype was told stay valid
        told["dtype"] = loaded.dtype
    return told | {
        "model_revision": loaded.revision,
        "arguments": _fit_arguments(allocator),
        "scorer": scorer.name,
        "scorer_arguments": _arguments(scorer),
        "scorer_code": _code(scorer),
        "allocator_code": _code(allocator),
        "chat_template": _template(loaded),
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


def _template(loaded: LoadedModel) -> str:
    return content_hash(loaded.tokenizer.chat_template)[:12]


def _code(plugin: Plugin) -> str | None:
    """Whose code a plugin is; None for our own, which `CALIBRATION_VERSION` speaks for."""
    known = plugin.description
    return None if known.distribution == "lukv-bench" else f"{known.distribution} {known.version}"


def _circumstances(loaded: LoadedModel) -> dict[str, Any]:
    """What else a reader wants to know of how a profile was made."""
    return {
        "model": loaded.title,
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
