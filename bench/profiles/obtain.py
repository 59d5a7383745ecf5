"""Obtains a profile: a named file, a shipped one, one in the cache, or a new one."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from importlib import resources
from operator import or_
from pathlib import Path
from typing import Any

from ... import UserError
from ...db.folders import cache_folder
from ...scorers.base import CalibrationReads, Profile
from ..calibration.calibrate import MAX_NEW_TOKENS, calibrate
from ..calibration.documents import Document, built_in_documents
from ..calibration.partial import Partial
from ..calibration.steps import Report
from ..calibration.utility import N_REPEATED
from ..calibration.window import fit_to_window
from ..engine.replay import CHUNK
from ..files.access import check_readable
from ..files.kinds import ANY
from ..files.writable import check_file_place
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..record.configuration import CODE_VERSION
from ..record.hashing import content_hash
from .check import check_profile
from .file import load_profile, read_header, save_profile
from .fit import check_arrays, fit_arrays
from .identity import circumstances, profile_identity
from .lock import only_process
from .owner import ProfileOwner

DEFAULT_SEED = 0


def obtain_profile(owner: ProfileOwner, loaded: LoadedModel, report: Report) -> Profile:
    """The profile that the user named, that ships, or that is in the cache; made and cached if there is none.

    The shipped ones were calibrated in float32 and serve every dtype; one in the cache serves the dtype it was
    calibrated in.

    Raises:
        UserError: the file named is not a profile for this model and these plugins.
        PluginError: the scorer failed, or the fit.
    """
    if (profile := find_profile(owner, loaded)) is not None:
        return profile
    plugin, documents = owner.plugin, _fitted(loaded, built_in_documents(), [owner])
    identity = profile_identity(owner, loaded, documents, DEFAULT_SEED)
    place = _place(owner, loaded, identity)
    check_file_place(place, "the profile's place in the cache,", ANY, cure="set LUKV_BENCH_CACHE to another folder")

    def waiting(process: str) -> None:
        report(f"waiting for process {process}, which calibrates the same profile", 0, 1)

    with only_process(place.with_name(place.name + ".lock"), waiting):
        if (cached := _cached(place, plugin, identity, loaded)) is not None:
            return cached  # made by another process in the meantime
        if place.is_file():
            print(f"lukv-bench: the cached profile {place} is damaged and is made again.", file=sys.stderr)
        name = plugin.name if owner.scorer is None else owner.scorer.name
        with making({name: owner}, loaded, documents, DEFAULT_SEED, report) as profiles:
            profile = profiles[name]
            save_profile(profile, place)
    return profile


def find_profile(owner: ProfileOwner, loaded: LoadedModel) -> Profile | None:
    """The profile that the user named, that ships, or that is in the cache; None if it is to be made.

    Raises:
        UserError: the file named is not a profile for this model and these plugins.
    """
    plugin = owner.plugin
    if named := str(plugin.arguments.get("profile", "")):
        return _named(named, owner, loaded)
    identity = profile_identity(owner, loaded, _fitted(loaded, built_in_documents(), [owner]), DEFAULT_SEED)
    shipped = {name: value for name, value in identity.items() if name != "dtype"}
    for path in sorted(_shipped_folder().glob("*.safetensors")):
        if _has_identity(path, plugin.name, shipped):
            return load_profile(path)
    return _cached(_place(owner, loaded, identity), plugin, identity, loaded)


def _place(owner: ProfileOwner, loaded: LoadedModel, identity: Mapping[str, Any]) -> Path:
    """Where the cache keeps a profile."""
    names = [owner.plugin.name] if owner.scorer is None else [owner.plugin.name, owner.scorer.name]
    file = "-".join([*names, loaded.revision[:8], f"{content_hash(identity)[:8]}.safetensors"])
    return cache_folder() / "profiles" / file


def _named(name: str, owner: ProfileOwner, loaded: LoadedModel) -> Profile:
    """The profile in a file that the user named.

    Raises:
        UserError: it is not one for this model and these plugins.
    """
    path = check_readable(name, "the profile")
    profile = load_profile(path)
    check_profile(profile, path, owner, loaded)
    try:
        check_arrays(profile.arrays, owner.plugin, loaded)
    except ValueError as error:
        raise UserError(
            f"{path} is not a profile that {owner.plugin.name} can use: {error}; leave out profile=, and the run makes "
            "one of its own."
        ) from error
    return profile


def _shipped_folder() -> Path:
    return Path(str(resources.files("lukv_bench.bench"))) / "shipped_profiles"


def _cached(place: Path, plugin: Plugin, identity: Mapping[str, Any], loaded: LoadedModel) -> Profile | None:
    """The profile at its place in the cache; None if the file is missing, damaged or another profile."""
    if not place.is_file():
        return None
    try:
        if not _has_identity(place, plugin.name, identity):
            return None
        profile = load_profile(place)
        check_arrays(profile.arrays, plugin, loaded)
    except (UserError, ValueError):
        return None
    return profile


def _has_identity(path: Path, kind: str, identity: Mapping[str, Any]) -> bool:
    header = read_header(path)
    return bool(header["kind"] == kind and all(header["made"].get(name) == value for name, value in identity.items()))


@contextmanager
def making(
    owners: Mapping[str, ProfileOwner],
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
    report: Report,
) -> Iterator[dict[str, Profile]]:
    """Calibrate once and fit the profile of each owner, for a block that saves them.

    Records of an interrupted calibration are kept in the cache folder until the block ends without an error.

    Args:
        owners: By the names of the profiles, which the progress shows.

    Raises:
        UserError: a document does not suit the model.
        PluginError: a scorer failed, or the fit.
    """
    documents = _fitted(loaded, documents, owners.values())
    for document in documents:
        if document.whole is not None:
            print(
                f"lukv-bench: the calibration text {document.name} is cut to its first {len(document.text)} of "
                f"{document.whole} characters, which {loaded.name} can hold.",
                file=sys.stderr,
            )
    targets = {name: owner.target for name, owner in owners.items()}
    identities = {name: profile_identity(owner, loaded, (), seed) for name, owner in owners.items()}
    partial = _partial(content_hash([identities, loaded.device.type, CODE_VERSION]))
    if partial is not None:
        partial.clear_abandoned()
    recorded = calibrate(loaded, targets, documents, seed, report, partial)
    profiles = {}
    for number, (name, owner) in enumerate(owners.items()):
        report(f"fitting the profile of {name}", number, len(owners))
        arrays = fit_arrays(owner, recorded[name], loaded)
        origin = profile_identity(owner, loaded, documents, seed)
        profiles[name] = Profile(owner.plugin.name, arrays, origin, circumstances(loaded))
    yield profiles
    if partial is not None:
        partial.clear()


def _partial(key: str) -> Partial | None:
    """Where the calibration's records are kept; None, with a message, if the cache folder cannot be written."""
    folder = cache_folder() / "calibration"
    try:
        check_file_place(folder / key, "the calibration's place in the cache,")
    except UserError as error:
        print(f"lukv-bench: {error} Until then an interrupted calibration starts from the beginning.", file=sys.stderr)
        return None
    return Partial(folder, key)


def _fitted(loaded: LoadedModel, documents: Sequence[Document], owners: Iterable[ProfileOwner]) -> tuple[Document, ...]:
    reads = reduce(or_, (owner.plugin.calibration for owner in owners), CalibrationReads())
    n_repeated = CHUNK if reads.replay else N_REPEATED if reads.utility else 0
    return tuple(fit_to_window(loaded, document, MAX_NEW_TOKENS, n_repeated=n_repeated) for document in documents)
