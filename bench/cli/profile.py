"""`lukv-bench profile`."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import UserError
from ..api.defaults import MODEL
from ..api.values import apart, at_least_one, one_of, storable
from ..reports.progress import Progress, progress
from .making import ModelOptions, PluginOptions, file_of, make_profiles
from .options import Device, Dtype, Model, Seed, Sink, Thinking, Window, whole_number

if TYPE_CHECKING:
    from ...scorers.base import Profile
    from ..profiles.tangram import Grouping

MAKING = ("out", "model", "allocator", "scorer", "text", "questions", "seed", "thinking", "device", "dtype")
"""Options for making a profile, which have no effect on an export."""

EXPORT_LENGTH = 4096
"""Tokens of context; the length of kvpress's own leaderboard."""


def profile(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; with several scorers, NAME.SCORER.EXT for each.", metavar="FILE"),
    ] = None,
    model: Model = MODEL,
    allocator: Annotated[
        str | None,
        typer.Option(
            "--allocator",
            help="Fitted allocator, calibrated for each scorer.  [default: lukv]",
            metavar="A",
        ),
    ] = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            "--scorer",
            help="Scorers, all served by one calibration. Fitted ones without --allocator: their own profiles.  "
            "[default: keydiff]",
            metavar="S,S",
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", help="A calibration text of your own; repeatable, with --questions.", metavar="F"),
    ] = None,
    questions: Annotated[
        list[Path] | None,
        typer.Option("--questions", help="Questions about that text, one a line; repeatable.", metavar="F"),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Export this profile instead of making one.", metavar="FILE"),
    ] = None,
    export_kvpress: Annotated[
        Path | None,
        typer.Option("--export-kvpress", help="Write kvpress's prune ratios [99, L, H], too.", metavar="F.npy"),
    ] = None,
    export_length: Annotated[
        int,
        typer.Option(
            "--export-length",
            help="Tokens of context at which the exported ratios are exact.",
            metavar="N",
            parser=whole_number,
        ),
    ] = EXPORT_LENGTH,
    export_tangram: Annotated[
        Path | None,
        typer.Option("--export-tangram", help="Write groups of heads as Tangram's cluster map.", metavar="F.npz"),
    ] = None,
    tangram_group: Annotated[
        int,
        typer.Option("--tangram-group", help="Heads that share pages.", metavar="N", parser=whole_number),
    ] = 4,
    tangram_kept: Annotated[
        int,
        typer.Option(
            "--tangram-kept", help="Percent kept at which heads are compared.", metavar="N", parser=whole_number
        ),
    ] = 30,
    tangram_scope: Annotated[
        str,
        typer.Option("--tangram-scope", help="Group heads over the model or in each layer.", metavar="model|layer"),
    ] = "model",
    seed: Seed = 0,
    thinking: Thinking = False,
    sink: Sink = None,
    window: Window = None,
    device: Device = None,
    dtype: Dtype = None,
) -> int:
    """Make the profile of a fitted plugin for a model; by default LU-KV's, how much of each head is worth keeping.

    The model reads each text once and answers its questions under the full cache; from what its answers attended to
    the plugin fits its profile. Use it with: run --allocator lukv:profile=FILE

    A fitted scorer's own profile: profile --scorer NAME. An allocator's over it: profile --allocator lukv --scorer NAME

    --export-kvpress also writes it as kvpress's LUKVPress reads it; with --from, an existing one. --export-tangram
    writes which heads of an existing one should share pages, as Tangram's server reads it.
    """
    from ..files.access import check_readable, user_path
    from ..files.kinds import ARRAY, CLUSTER_MAP
    from ..files.writable import check_file_place
    from ..plugins.names import check_name, split_specs

    at_least_one("--export-length", export_length)
    storable("--seed", seed)
    _check_options(context, from_, out, export_kvpress, export_tangram)
    out = None if out is None else user_path(out, "--out")
    export_kvpress = None if export_kvpress is None else user_path(export_kvpress, "--export-kvpress")
    apart(from_=from_, out=out, export_kvpress=export_kvpress, export_tangram=export_tangram)
    _check_effect(context, export_kvpress, export_tangram)
    grouping = None if export_tangram is None else _grouping(tangram_group, tangram_kept, tangram_scope)
    for read in (*(text or []), *(questions or [])):
        apart(text=read, out=out)
        apart(text=read, export_kvpress=export_kvpress)
    specs = split_specs("scorer", scorer or ["keydiff"])
    if allocator is not None:
        check_name("allocator", allocator)
    if from_ is not None:
        check_readable(from_, "--from")
    if from_ is not None and export_kvpress is not None:
        check_file_place(export_kvpress, "--export-kvpress", ARRAY)
    if export_tangram is not None:
        export_tangram = user_path(export_tangram, "--export-tangram")
        check_file_place(export_tangram, "--export-tangram", CLUSTER_MAP)
    if out is not None:
        for read in (*(text or []), *(questions or [])):
            check_readable(read, "--text or --questions")
        for spec in specs:
            _check_places(out, export_kvpress, spec.partition(":")[0], len(specs))
    with redirect_stdout(sys.stderr), progress() as shown:
        if out is not None:
            places = (out, export_kvpress, export_length)
            files = (text or [], questions or [])
            plugins = PluginOptions(allocator, specs, sink, window)
            profiles = make_profiles(places, ModelOptions(model, thinking, device, dtype), plugins, files, seed, shown)
        elif from_ is not None:
            profiles = {"": _read(from_, sink, window)}
        if export_kvpress is not None:
            _export(profiles, export_kvpress, export_length, sink, window, shown)
        if export_tangram is not None and grouping is not None:
            _export_groups(profiles[""], export_tangram, grouping, shown)
    return 0


def _check_options(
    context: typer.Context, from_: Path | None, out: Path | None, kvpress: Path | None, tangram: Path | None
) -> None:
    """Refuse options that neither make nor export a profile, or that do both."""
    if from_ is None:
        if tangram is not None:
            raise UserError("--export-tangram exports an existing profile; name it with --from FILE.")
        if out is None:
            raise UserError("give --out FILE to make a profile, or --from FILE to export an existing one.")
        return
    if kvpress is None and tangram is None:
        raise UserError("--from needs --export-kvpress F.npy or --export-tangram F.npz, the file to export to.")
    options = [name for name in MAKING if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if options:
        raise UserError(f"--from exports an existing profile, so --{options[0]} has no effect; leave it out.")


def _check_effect(context: typer.Context, kvpress: Path | None, tangram: Path | None) -> None:
    """Refuse options of an export that is not made."""
    exports = (
        ("--export-tangram", tangram, ("tangram_group", "tangram_kept", "tangram_scope")),
        ("--export-kvpress", kvpress, ("export_length",)),
    )
    for export, place, names in exports:
        given = [name for name in names if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
        if place is None and given:
            raise UserError(f"--{given[0].replace('_', '-')} has no effect without {export}; leave it out.")


def _grouping(size: int, kept_percent: int, scope: str) -> "Grouping":
    from ..profiles.tangram import SCOPES, Grouping

    at_least_one("--tangram-group", size)
    if not 1 <= kept_percent <= 99:
        raise UserError(f"--tangram-kept is a percentage from 1 to 99, not {kept_percent}.")
    one_of("--tangram-scope", scope, tuple(SCOPES))
    return Grouping(size, kept_percent, "layer" if scope == "layer" else "model")


def _export_groups(profile: "Profile", path: Path, grouping: "Grouping", shown: Progress) -> None:
    from ..profiles.tangram import write_tangram

    shown.message(write_tangram(profile, path, grouping))


def _read(path: Path, sink: int | None, window: int | None) -> "Profile":
    from ..files.access import check_readable
    from ..methods.protection import check_protection
    from ..profiles.file import load_profile

    check_protection(sink, window)
    return load_profile(check_readable(path, "--from"))


def _check_places(out: Path, export: Path | None, scorer: str, scorers: int) -> None:
    """Check every file that will be written, before the calibration."""
    from ..files.kinds import ARRAY, PROFILE, PROFILE_NOTES
    from ..files.writable import check_file_place

    place = file_of(out, scorer, scorers)
    check_file_place(place, "--out", PROFILE)
    check_file_place(place.with_name(place.name + ".json"), "what --out writes beside it,", PROFILE_NOTES)
    if export is not None:
        check_file_place(file_of(export, scorer, scorers), "--export-kvpress", ARRAY)


def _export(
    profiles: "Mapping[str, Profile]",
    path: Path,
    n_tokens: int,
    sink: int | None,
    window: int | None,
    shown: Progress,
) -> None:
    from ..profiles.kvpress import protection_of, write_kvpress

    for name, profile in profiles.items():
        place = file_of(path, name, len(profiles))
        shown.message(write_kvpress(profile, place, n_tokens, protection_of(profile, sink, window)))
