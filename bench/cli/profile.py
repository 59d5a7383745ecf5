"""`lukv-bench profile`."""

import shlex
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import UserError
from .options import Device, Dtype, Model, Seed, Sink, Thinking, Window, whole_number
from .progress import Progress, progress
from .values import apart, at_least_one, storable

if TYPE_CHECKING:
    from ...scorers.base import Profile
    from ..models.load import LoadedModel

MAKING = ("out", "model", "scorer", "text", "questions", "seed", "thinking", "device", "dtype")
"""Options that make a profile, and mean nothing where one is only exported."""

EXPORT_LENGTH = 4096
"""Tokens of context; the length of kvpress's own leaderboard."""


@dataclass(frozen=True)
class _Model:
    """The model to calibrate, as typed."""

    name: str
    thinking: bool
    device: str | None
    dtype: str | None

    def load(self, shown: Progress) -> "LoadedModel":
        """Ready to be read with."""
        from ..engine.ready import ready_model
        from ..models.find import loading
        from ..models.load import resolve_device, resolve_dtype

        device = resolve_device(self.device)
        dtype = resolve_dtype(self.dtype, device)
        shown.report(loading(self.name), 0, 1)
        return ready_model(self.name, device, dtype, self.thinking)


def profile(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; with several scorers, NAME.SCORER.EXT for each.", metavar="FILE"),
    ] = None,
    model: Model = "smollm2-135m",
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", help="Scorers, all served by one calibration.  [default: keydiff]", metavar="S,S"),
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
    seed: Seed = 0,
    thinking: Thinking = False,
    sink: Sink = None,
    window: Window = None,
    device: Device = None,
    dtype: Dtype = None,
) -> int:
    """Calibrate LU-KV for a model: how much of each head is worth keeping, for each scorer.

    The model reads each text once and answers its questions under the full cache; what its answers attended to
    becomes the profile. Use it with: run --allocator lukv:profile=FILE

    --export-kvpress also writes it as kvpress's LUKVPress reads it; with --from, an existing one.
    """
    from ..files.access import check_readable, user_path
    from ..files.kinds import ARRAY
    from ..files.writable import check_file_place
    from ..plugins.names import split_specs

    at_least_one("--export-length", export_length)
    storable("--seed", seed)
    _check_options(context, from_, out, export_kvpress)
    out = None if out is None else user_path(out, "--out")
    export_kvpress = None if export_kvpress is None else user_path(export_kvpress, "--export-kvpress")
    apart(from_=from_, out=out, export_kvpress=export_kvpress)
    for read in (*(text or []), *(questions or [])):
        apart(text=read, out=out)
        apart(text=read, export_kvpress=export_kvpress)
    specs = split_specs("scorer", scorer or ["keydiff"])
    if from_ is not None and export_kvpress is not None:
        check_readable(from_, "--from")
        check_file_place(export_kvpress, "--export-kvpress", ARRAY)
    if out is not None:
        for read in (*(text or []), *(questions or [])):
            check_readable(read, "--text or --questions")
        for spec in specs:
            _check_places(out, export_kvpress, spec.partition(":")[0], len(specs))
    with redirect_stdout(sys.stderr), progress() as shown:
        if out is not None:
            places = (out, export_kvpress, export_length)
            asked = (text or [], questions or [])
            made = _make(places, _Model(model, thinking, device, dtype), specs, asked, seed, (sink, window), shown)
        elif from_ is not None:
            made = {"": _read(from_, sink, window)}
        if export_kvpress is not None:
            _export(made, export_kvpress, export_length, sink, window, shown)
    return 0


def _check_options(context: typer.Context, from_: Path | None, out: Path | None, export: Path | None) -> None:
    """Either a profile is made, or one is exported."""
    if from_ is None:
        if out is None:
            raise UserError("give --out FILE, where the profile goes, or --from FILE to export one that is there.")
        return
    if export is None:
        raise UserError("--from takes --export-kvpress F.npy along, where the exported ratios go.")
    given = [name for name in MAKING if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if given:
        raise UserError(f"--from exports a profile that is there, so --{given[0]} has no meaning; leave it out.")


def _read(path: Path, sink: int | None, window: int | None) -> "Profile":
    from ..files.access import check_readable
    from ..methods.protection import check_protection
    from ..profiles.file import load_profile

    check_protection(sink, window)
    return load_profile(check_readable(path, "--from"))


def _make(
    places: tuple[Path, Path | None, int],
    model: _Model,
    specs: list[str],
    asked: tuple[list[Path], list[Path]],
    seed: int,
    protection: tuple[int | None, int | None],
    shown: Progress,
) -> "Mapping[str, Profile]":
    """The profiles by scorer, saved."""
    from ..models.find import check_model_name

    check_model_name(model.name)
    shown.report("loading torch and transformers", 0, 1)
    from ..calibration.documents import built_in_documents, read_documents
    from ..engine.reads import check_reads
    from ..methods.method import ask_protection
    from ..plugins.registry import build
    from ..profiles.file import profile_hash, save_profile
    from ..profiles.kvpress import check_length
    from ..profiles.obtain import making

    plugins = [build("scorer", spec) for spec in specs]
    targets = {plugin.name: (plugin, ask_protection(plugin, *protection)) for plugin in plugins}
    if len(targets) < len(plugins):
        raise UserError("--scorer names a scorer twice; make one profile for each in a command of its own.")
    out, export, export_length = places
    for _, protected in targets.values():
        if export is not None:
            check_length(export_length, protected)
    documents = read_documents(*asked) or built_in_documents()
    loaded = model.load(shown)
    check_reads(loaded, {plugin.label: plugin.instance.reads for plugin in plugins})
    with making(build("allocator", "lukv"), targets, loaded, documents, seed, shown.report) as profiles:
        for name, made in profiles.items():
            save_profile(made, place := _place(out, name, len(profiles)))
            shown.message(f"wrote {place} (hash {profile_hash(made)[:16]})")
    first = plugins[0]
    shown.message(
        f"use it with: {_run_command(model, _place(out, first.name, len(profiles)), first.label, protection)}"
    )
    return profiles


def _run_command(model: _Model, profile: Path, scorer: str, protection: tuple[int | None, int | None]) -> str:
    """The run that a profile is for, as one would type it."""
    words = ["lukv-bench", "run", "--model", model.name, "--allocator", f"lukv:profile={profile}", "--scorer", scorer]
    for option, value in zip(("--sink", "--window"), protection, strict=True):
        words += [] if value is None else [option, str(value)]
    words += ["--thinking"] if model.thinking else []
    return shlex.join(words)


def _check_places(out: Path, export: Path | None, scorer: str, scorers: int) -> None:
    """Every file that will be written, before the work that fills it."""
    from ..files.kinds import ARRAY, PROFILE, PROFILE_NOTES
    from ..files.writable import check_file_place

    place = _place(out, scorer, scorers)
    check_file_place(place, "--out", PROFILE)
    check_file_place(place.with_name(place.name + ".json"), "what --out writes beside it,", PROFILE_NOTES)
    if export is not None:
        check_file_place(_place(export, scorer, scorers), "--export-kvpress", ARRAY)


def _export(
    profiles: "Mapping[str, Profile]",
    path: Path,
    n_tokens: int,
    sink: int | None,
    window: int | None,
    shown: Progress,
) -> None:
    from ..profiles.kvpress import protection_of, write_kvpress

    for name, made in profiles.items():
        place = _place(path, name, len(profiles))
        shown.message(write_kvpress(made, place, n_tokens, protection_of(made, sink, window)))


def _place(out: Path, scorer: str, scorers: int) -> Path:
    return out if scorers == 1 else out.with_name(f"{out.stem}.{scorer}{out.suffix}")
