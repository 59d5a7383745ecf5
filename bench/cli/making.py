"""Makes profiles for `lukv-bench profile`."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ... import UserError
from ..reports.progress import Progress

if TYPE_CHECKING:
    from ...scorers.base import Profile
    from ..methods.method import Method
    from ..models.load import LoadedModel
    from ..profiles.owner import ProfileOwner


@dataclass(frozen=True)
class ModelOptions:
    """The model to calibrate, as typed."""

    name: str
    thinking: bool
    device: str | None
    dtype: str | None

    def load(self, shown: Progress) -> "LoadedModel":
        """Load the model and switch it to store attention."""
        from ..engine.ready import ready_model
        from ..models.devices import resolve_place
        from ..models.find import loading
        from ..models.load import resolve_dtype

        place = resolve_place(self.device)
        dtype = resolve_dtype(self.dtype, place)
        shown.report(loading(self.name), 0, 1)
        return ready_model(self.name, place, dtype, self.thinking)


@dataclass(frozen=True)
class PluginOptions:
    """The plugins to make profiles for, as typed."""

    allocator: str | None
    scorers: Sequence[str]
    sink: int | None
    window: int | None

    def build(self) -> "tuple[str, dict[str, Method]]":
        """The path of the plugin whose profile is made, and a method for each scorer, by the scorer's name.

        Raises:
            UserError: a scorer is named twice, or the plugin has no profile.
        """
        from ..methods.budget import Budget
        from ..methods.method import Method, resolve_protection
        from ..methods.oracles import refuse_oracles
        from ..plugins.registry import build

        scorers = {scorer.name: scorer for scorer in (build("scorer", spec) for spec in self.scorers)}
        if len(scorers) < len(self.scorers):
            raise UserError("--scorer names a scorer twice; make one profile for each in a command of its own.")
        allocator = build("allocator", self.allocator or "lukv")
        path = self._path([scorer.name for scorer in scorers.values() if scorer.is_fitted])
        methods = {
            name: Method(allocator, scorer, Budget(), resolve_protection(scorer, self.sink, self.window))
            for name, scorer in scorers.items()
        }
        refuse_oracles(list(methods.values()))
        for method in methods.values():
            owner = method.owners().get(path)
            if owner is None:
                raise UserError(
                    f"the allocator {allocator.label} has no profile of its own; `lukv-bench list allocators` "
                    "shows which are fitted."
                )
            if owner.arguments.get("profile"):
                raise UserError(f"{owner.label} names a profile, and this command makes one; leave profile= out.")
        return path, methods

    def _path(self, fitted: Sequence[str]) -> str:
        """The plugin's path: "scorer" for a fitted scorer without a named allocator, else "allocator"."""
        if self.allocator is not None or not fitted:
            return "allocator"
        others = [spec for spec in self.scorers if spec.partition(":")[0] not in fitted]
        if others:
            raise UserError(
                f"the scorer {fitted[0]} has a profile of its own and {others[0]} has none; make their profiles in two "
                "commands, or name the --allocator to calibrate for both."
            )
        return "scorer"


def file_of(out: Path, scorer: str, scorers: int) -> Path:
    """The file of a scorer's profile; with several scorers, each has its own."""
    return out if scorers == 1 else out.with_name(f"{out.stem}.{scorer}{out.suffix}")


def make_profiles(
    places: tuple[Path, Path | None, int],
    model: ModelOptions,
    plugins: PluginOptions,
    files: tuple[list[Path], list[Path]],
    seed: int,
    shown: Progress,
) -> "Mapping[str, Profile]":
    """Make and save the profiles; returns them by scorer."""
    from ..models.find import check_model_name

    check_model_name(model.name)
    shown.report("loading torch and transformers", 0, 1)
    from ..calibration.documents import built_in_documents, read_documents
    from ..methods.eviction import check_methods
    from ..methods.profiles import MethodProfiles
    from ..profiles.file import profile_hash, save_profile
    from ..profiles.obtain import making

    out, export, export_length = places
    path, methods = plugins.build()
    if export is not None:
        _check_export(methods.values(), path, export_length)
    documents = read_documents(*files) or built_in_documents()
    loaded = model.load(shown)
    check_methods(loaded, list(methods.values()))
    obtained = MethodProfiles(loaded, shown.report)
    owners = {name: obtained.owner(method, path) for name, method in methods.items()}
    with making(owners, loaded, documents, seed, shown.report) as profiles:
        for name, profile in profiles.items():
            save_profile(profile, place := file_of(out, name, len(profiles)))
            shown.message(f"wrote {place} (hash {profile_hash(profile)[:16]})")
    first = next(iter(profiles))
    command = _run_command(model, file_of(out, first, len(profiles)), owners[first], methods[first], plugins)
    if command is not None:
        shown.message(f"use it with: {command}")
    return profiles


def _check_export(methods: "Iterable[Method]", path: str, n_tokens: int) -> None:
    """Refuse an export that the calibration could not serve."""
    from ..profiles.kvpress import check_length

    for method in methods:
        name = method.owners()[path].name
        if name != "lukv":
            raise UserError(
                f"kvpress's format holds profiles of lukv, and this makes {name}'s; leave --export-kvpress out."
            )
        check_length(n_tokens, method.protection)


def _run_command(
    model: ModelOptions, profile: Path, owner: "ProfileOwner", method: "Method", plugins: PluginOptions
) -> str | None:
    """The command of a run with the profile; None if the plugin takes no profile= argument."""
    if "profile" not in owner.plugin.arguments:
        return None
    label = owner.plugin.label
    named = f"{label}{',' if ':' in label else ':'}profile={profile}"
    words = ["lukv-bench", "run", "--model", model.name]
    if owner.path == "allocator" and method.scorer is not None:
        words += ["--allocator", named, "--scorer", method.scorer.label]
    else:
        words += ["--scorer", named]
    for option, value in (("--sink", plugins.sink), ("--window", plugins.window)):
        words += [] if value is None else [option, str(value)]
    words += ["--thinking"] if model.thinking else []
    return shlex.join(words)
