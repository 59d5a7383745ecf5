"""`lukv-bench inspect`."""

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import UserError
from ..api.defaults import MODEL, SCHEDULE
from ..api.values import apart, storable
from ..reports.progress import progress
from .options import Backend, Device, Dtype, Model, Sink, Thinking, Window, whole_number

if TYPE_CHECKING:
    from ..inspection.inspection import Inspection

WIDEST = 100
"""Most columns to draw in, on a wider terminal."""


def inspect(
    context: Annotated[
        Path, typer.Option("--context", help="Text file, put to the model as a user turn.", metavar="F")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write what was kept to this file (.npz).", metavar="F")
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", help="Show what is kept of each place of this text in the context.", metavar="TEXT"),
    ] = None,
    model: Model = MODEL,
    allocator: Annotated[str, typer.Option("--allocator", help="NAME[:key=value,...]", metavar="A")] = "lukv",
    scorer: Annotated[str, typer.Option("--scorer", help="NAME[:key=value,...]", metavar="S")] = "keydiff",
    ratio: Annotated[
        str | None,
        typer.Option("--ratio", help="Share of the context to prune, 0 <= R < 1.  [default: 0.8]", metavar="R"),
    ] = None,
    keep_tokens: Annotated[
        int | None,
        typer.Option(
            "--keep-tokens",
            help="Tokens to keep per head, on average, instead of a ratio.",
            metavar="N",
            parser=whole_number,
        ),
    ] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", help="one-shot, or block:N to evict after every N tokens.", metavar="S")
    ] = SCHEDULE,
    sink: Sink = None,
    window: Window = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="For methods that draw at random, as `run --seed`.", metavar="N", parser=whole_number
        ),
    ] = 0,
    thinking: Thinking = False,
    device: Device = None,
    dtype: Dtype = None,
    backend: Backend = None,
) -> int:
    """Show what one eviction keeps of a text: the budget of each head, and the text with what is kept of it.

    With --out also as a NumPy archive: token_ids int64 [T] as fed; counts int64 [L, H]; offsets int64 [L*H+1];
    positions int64, ascending in each head, head (l, h) at offsets[l*H+h] to offsets[l*H+h+1]; layers int64 [L], the
    layers that are evicted; with --evidence also evidence int64 [n, 2], the first and last token + 1 of each place.
    """
    from ..files.access import user_path
    from ..files.kinds import INSPECTION
    from ..files.writable import check_file_place
    from ..inspection.places import places_of
    from ..methods.budget import parse_budgets
    from ..methods.protection import check_budgets
    from ..methods.schedule import parse_schedule
    from ..models.find import check_model_name, loading
    from ..plugins.names import check_name

    if ratio is not None and "," in ratio:
        raise UserError(f"inspect shows one eviction and takes one --ratio, not {ratio!r}.")
    budgets = parse_budgets([] if ratio is None else [ratio], [] if keep_tokens is None else [keep_tokens])
    schedules = [parse_schedule(schedule)]
    text = _read(context)
    if evidence is not None:
        places_of(evidence, text.strip())
    out = None if out is None else user_path(out, "--out")
    apart(context=context, out=out)
    if out is not None:
        check_file_place(out, "--out", INSPECTION)
    storable("--seed", seed)
    check_name("allocator", allocator)
    check_name("scorer", scorer)
    check_model_name(model)
    if allocator.partition(":")[0] != "full":
        check_budgets(budgets, [scorer], sink, window)
    with redirect_stdout(sys.stderr), progress() as shown:
        shown.report("loading torch and transformers", 0, 1)
        from ..engine.ready import ready_model
        from ..inspection.inspection import inspect_context
        from ..methods.incremental import check_schedules
        from ..methods.method import build_methods
        from ..methods.oracles import refuse_oracles
        from ..models.devices import resolve_backend, resolve_place
        from ..models.load import resolve_dtype

        (method,) = build_methods([allocator], [scorer], budgets, sink, window, False, schedules)
        check_schedules([method])
        refuse_oracles([method])
        place = resolve_place(device)
        kind, kernels = resolve_dtype(dtype, place), resolve_backend(backend, place)
        shown.report(loading(model), 0, 1)
        loaded = ready_model(model, place, kind, thinking, kernels)
        shown.report("evicting", 0, 1)
        inspection = inspect_context(loaded, method, text, seed, shown.report, evidence)
        if out is not None:
            inspection.save(out)
    _draw(inspection)
    return 0


def _draw(inspection: "Inspection") -> None:
    """Print the summary, the events, the map and the text; in plain characters if there are no colours."""
    from rich.console import Console

    from ..inspection.evidence import draw_evidence, kept_mask
    from ..inspection.heat_map import draw_heat_map
    from ..inspection.kept_text import draw_kept_text

    console = Console(highlight=False)
    colour = console.is_terminal and console.color_system is not None and not console.no_color
    columns = os.environ.get("COLUMNS", "")
    width = min(console.width, WIDEST) if console.is_terminal else int(columns) if columns.isdecimal() else 80
    notes = [f"event: {event['event']}{_details(event)}" for event in inspection.events]
    n_tokens = len(inspection.token_ids)
    lines = [
        "",
        *draw_heat_map(inspection.counts, n_tokens, width, colour, inspection.layers.tolist()),
        "",
        *draw_kept_text(inspection.texts, inspection.shares.tolist(), width, colour),
    ]
    if inspection.evidence:
        mask = kept_mask(inspection.offsets, inspection.positions, n_tokens)
        lines += ["", *draw_evidence(mask, inspection.evidence, inspection.layers.tolist(), width)]
    for line in [inspection.summary(), *notes, *lines]:
        if colour:
            console.print(line, markup=False, emoji=False, no_wrap=True, overflow="ignore", crop=False)
        else:
            print(_encodable(str(line)))


def _details(event: Mapping[str, Any]) -> str:
    return "".join(f" {name}={value}" for name, value in event.items() if name != "event")


def _encodable(line: str) -> str:
    """The line with characters that stdout's encoding lacks replaced by "?"."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "replace").decode(encoding)


def _read(path: Path) -> str:
    from ..files.access import read_text

    text = read_text(path, "--context")
    if not text.strip():
        raise UserError(f"--context {path} is empty; give a file with text in it.")
    return text
