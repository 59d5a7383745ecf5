"""Profiles: the one that was named, that ships, that lies in the cache, or that is made now."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from ... import UserError, __version__
from ...scorers.base import Profile, Protection
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
from ..calibration.partial import Partial
from ..calibration.window import fit_to_window
from ..configuration import CODE_VERSION
from ..environment import package_versions
from ..file_kinds import ANY
from ..files import check_readable
from ..hashing import content_hash
from ..models.load import LoadedModel
from ..places import cache_folder
from ..plugins.plugin import Plugin
from ..writable import check_file_place
from .file import load_profile, read_header, save_profile
from .fit import check_arrays, fit_arrays
from .lock import only_process

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
        try:
            check_arrays(profile.arrays, allocator, loaded)
        except ValueError as error:
            raise UserError(
                f"{path} is no profile that {allocator.name} can use: {error}; leave out profile=, and the run makes "
                "one of its own."
            ) from error
        return profile
    documents = _fitted(loaded, built_in_documents())
    wanted = _identity(allocator, scorer, protection, loaded, documents, DEFAULT_SEED)
    shipped = {name: value for name, value in wanted.items() if name != "dtype"}
    for path in sorted(_shipped_folder().glob("*.safetensors")):
        if _is_made_as(path, allocator.name, shipped):
            return load_profile(path)
    name = f"{allocator.name}-{scorer.name}-{loaded.revision[:8]}-{content_hash(wanted)[:8]}.safetensors"
    place = cache_folder() / "profiles" / name
    if (cached := _cached(place, allocator, wanted, loaded)) is not None:
        return cached
    check_file_place(place, "the profile's place in the cache,", ANY, cure="set LUKV_BENCH_CACHE to another folder")

    def waiting(process: str) -> None:
        report(f"waiting for process {process}, which calibrates the same profile", 0, 1)

    with only_process(place.with_name(place.name + ".lock"), waiting):
        if (cached := _cached(place, allocator, wanted, loaded)) is not None:
            return cached  # made by the process that was waited for
        if place.is_file():
            print(f"lukv-bench: the cached profile {place} is damaged and is made anew.", file=sys.stderr)
        targets = {scorer.name: (scorer, protection)}
        with making(allocator, targets, loaded, documents, DEFAULT_SEED, report) as profiles:
            profile = profiles[scorer.name]
            save_profile(profile, place)
    return profile


def _shipped_folder() -> Path:
    return Path(str(resources.files("lukv_bench.bench"))) / "shipped_profiles"


def _cached(place: Path, allocator: Plugin, wanted: Mapping[str, Any], loaded: LoadedModel) -> Profile | None:
    """The profile at its place in the cache; None where there is none, or another or damaged file."""
    if not place.is_file():
        return None
    try:
        if not _is_made_as(place, allocator.name, wanted):
            return None
        profile = load_profile(place)
        check_arrays(profile.arrays, allocator, loaded)
    except (UserError, ValueError):
        return None
    return profile


def _is_made_as(path: Path, kind: str, wanted: Mapping[str, Any]) -> bool:
    header = read_header(path)
    return bool(header["kind"] == kind and all(header["made"].get(name) == value for name, value in wanted.items()))


@contextmanager
def making(
    allocator: Plugin,
    scorers: Mapping[str, tuple[Plugin, Protection]],
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
    report: Report,
) -> Iterator[dict[str, Profile]]:
    """Calibrate once and fit a profile for each scorer, for a block that saves them.

    What an interrupt leaves stays in the cache folder until that block has ended well: the same call goes on there.

    Raises:
        UserError: a document does not suit the model.
        PluginError: a scorer failed, or the fit.
    """
    documents = _fitted(loaded, documents)
    for document in documents:
        if document.whole is not None:
            print(
                f"lukv-bench: the calibration text {document.name} is cut to its first {len(document.text)} of "
                f"{document.whole} characters, which {loaded.name} can hold.",
                file=sys.stderr,
            )
    targets = {name: Target(scorer.instance, protection) for name, (scorer, protection) in scorers.items()}
    wanted = {name: _identity(allocator, *of, loaded, (), seed) for name, of in scorers.items()}
    partial = _partial(content_hash([wanted, loaded.device.type, CODE_VERSION]))
    seen = calibrate(loaded, targets, documents, seed, report, partial)
    profiles = {}
    for number, (name, (scorer, protection)) in enumerate(scorers.items()):
        report(f"fitting the profile of {name}", number, len(scorers))
        arrays = fit_arrays(allocator, seen[name], loaded)
        made = _identity(allocator, scorer, protection, loaded, documents, seed)
        profiles[name] = Profile(allocator.name, arrays, made, _circumstances(loaded))
    yield profiles
    if partial is not None:
        partial.clear()


def _partial(key: str) -> Partial | None:
    """Where to keep what is calibrated; None, which is told, where the cache folder cannot be written."""
    folder = cache_folder() / "calibration"
    try:
        check_file_place(folder / key, "the calibration's place in the cache,")
    except UserError as error:
        print(f"lukv-bench: {error} Until then an interrupted calibration begins anew.", file=sys.stderr)
        return None
    return Partial(folder, key)


def _fitted(loaded: LoadedModel, documents: Sequence[Document]) -> tuple[Document, ...]:
    return tuple(fit_to_window(loaded, document, MAX_NEW_TOKENS) for document in documents)


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
        "documents": [document.record for document in documents],
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
    return (
        None
        if known.distribution == "lukv-bench"
        else " ".join(filter(None, (known.distribution, known.version, known.code)))
    )


def _circumstances(loaded: LoadedModel) -> dict[str, Any]:
    """What else a reader wants to know of how a profile was made."""
    return {
        "model": loaded.title,
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
