"""`lukv-bench profile`."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from ... import UserError
from .options import Device, Dtype, Model, Seed, Sink, Window
from .progress import progress


def profile(
    out: Annotated[
        Path,
        typer.Option("--out", help="File to write; with several scorers, NAME.SCORER.EXT for each.", metavar="FILE"),
    ],
    model: Model = "smollm2-135m",
    scorer: Annotated[
        str, typer.Option("--scorer", help="Comma-separated scorers, all served by one calibration.", metavar="S,S")
    ] = "keydiff",
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", help="A calibration text of your own; repeatable, with --questions.", metavar="F"),
    ] = None,
    questions: Annotated[
        list[Path] | None,
        typer.Option("--questions", help="Questions about that text, one a line; repeatable.", metavar="F"),
    ] = None,
    seed: Seed = 0,
    sink: Sink = None,
    window: Window = None,
    device: Device = None,
    dtype: Dtype = None,
) -> int:
    """Calibrate LU-KV for a model: how much of each head is worth keeping, for each scorer.

    The model reads each text once and answers its questions under the full cache; what its answers attended to
    becomes the profile. Use it with: run --allocator lukv:profile=FILE
    """
    from ..models.find import check_model_name
    from ..writable import check_file_place

    specs = [spec for spec in re.split(r",(?!\w+=)", scorer) if spec]  # a comma may stand before an argument, too
    if not specs:
        raise UserError("--scorer is empty; name at least one, such as keydiff.")
    check_model_name(model)
    check_file_place(out, "--out")
    with progress() as shown:
        shown.report("loading torch and transformers", 0, 1)
        from ..calibration.documents import built_in_documents, read_documents
        from ..engine.ready import ready_model
        from ..models.load import resolve_device, resolve_dtype
        from ..profile_file import profile_hash, save_profile
        from ..profiles import make_profiles
        from ..registry import build
        from ..run.request import ask_protection

        plugins = [build("scorer", spec) for spec in specs]
        targets = {plugin.name: (plugin, ask_protection(plugin, sink, window)) for plugin in plugins}
        if len(targets) < len(plugins):
            raise UserError("--scorer names a scorer twice; make one profile for each in a command of its own.")
        places = {name: _place(out, name, len(targets)) for name in targets}
        documents = read_documents(text or [], questions or []) or built_in_documents()
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where)
        shown.report(f"loading {model} (fetched on first use)", 0, 1)
        loaded = ready_model(model, where, kind)
        profiles = make_profiles(build("allocator", "lukv"), targets, loaded, documents, seed, shown.report)
        for name, made in profiles.items():
            save_profile(made, places[name])
            shown.message(f"wrote {places[name]} (hash {profile_hash(made)[:16]})")
    print(
        f"use it with: lukv-bench run --model {model} --allocator lukv:profile={places[plugins[0].name]} "
        f"--scorer {plugins[0].label}",
        file=sys.stderr,
    )
    return 0


def _place(out: Path, scorer: str, scorers: int) -> Path:
    return out if scorers == 1 else out.with_name(f"{out.stem}.{scorer}{out.suffix}")
