"""`lukv-bench inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from ... import UserError
from .options import Device, Dtype, KeepTokens, Model, Ratio, Sink, Window, whole_number
from .progress import progress


def inspect(
    context: Annotated[
        Path, typer.Option("--context", help="Text file, put to the model as a user turn.", metavar="F")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where to write what was kept (.npz).", metavar="F")],
    model: Model = "smollm2-135m",
    allocator: Annotated[str, typer.Option("--allocator", help="NAME[:key=value,...]", metavar="A")] = "lukv",
    scorer: Annotated[str, typer.Option("--scorer", help="NAME[:key=value,...]", metavar="S")] = "keydiff",
    ratio: Ratio = None,
    keep_tokens: KeepTokens = None,
    sink: Sink = None,
    window: Window = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="For methods that draw at random; none does yet.", metavar="N", parser=whole_number
        ),
    ] = 0,
    device: Device = None,
    dtype: Dtype = None,
) -> int:
    """Show what one eviction keeps of a text: a NumPy archive with the tokens, counts and positions.

    token_ids int64 [T] as fed; counts int64 [L, H]; offsets int64 [L*H+1]; positions int64, ascending in each head,
    head (l, h) at offsets[l*H+h] to offsets[l*H+h+1].
    """
    from ..budget import parse_budgets
    from ..models.find import check_model_name
    from ..writable import check_file_place

    budgets = parse_budgets(ratio or [], keep_tokens)
    if len(budgets) > 1:
        raise UserError("inspect takes one --ratio.")
    text = _read(context)
    check_file_place(out, "--out")
    check_model_name(model)
    with progress() as shown:
        shown.report("loading torch and transformers", 0, 1)
        from ..engine.ready import ready_model
        from ..inspection import inspect_context
        from ..models.load import resolve_device, resolve_dtype
        from ..run.request import ask_methods

        (method,) = ask_methods([allocator], [scorer], budgets, sink, window, baselines=False)
        place = resolve_device(device)
        kind = resolve_dtype(dtype, place)
        shown.report(f"loading {model} (fetched on first use)", 0, 1)
        loaded = ready_model(model, place, kind)
        shown.report("evicting", 0, 1)
        inspection = inspect_context(loaded, method, text, shown.report)
        inspection.save(out)
    print(inspection.summary())
    return 0


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read --context {path} as UTF-8 text ({error}).") from error
    if not text.strip():
        raise UserError(f"--context {path} is empty; give a file with text in it.")
    return text
