"""`lukv-bench estimate`."""

import json as json_
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import UserError
from ...db.sizes import size
from ..api.defaults import MODEL
from ..api.values import axis, one_of, whole_numbers
from .options import Json, KeepTokens, Model, Ratio

if TYPE_CHECKING:
    from ..methods.estimate import CacheShape, Estimate

NOTE = "The question, the answer and the activations of a prefill come on top."


def estimate(
    model: Model = MODEL,
    context: Annotated[
        list[str] | None, typer.Option("--context", help="Tokens of context.  [default: 4096]", metavar="N,N")
    ] = None,
    ratio: Ratio = None,
    keep_tokens: KeepTokens = None,
    memory: Annotated[
        float | None, typer.Option("--memory", help="GiB of a card: what fits beside the weights.", metavar="GIB")
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="float32, bfloat16 or float16, of weights and cache.", metavar="D")
    ] = "bfloat16",
    json: Json = False,
) -> int:
    """Estimate the bytes that a budget keeps and the batch that fits on a card, before any weights are fetched.

    Of a hub model config.json alone is read. Sliding windows and recurrent states are counted whole. Models that keep
    something else are refused.
    """
    from ..methods.budget import parse_budgets
    from ..models.find import check_model_name

    budgets = parse_budgets(
        [] if ratio is None else axis("--ratio", ratio),
        [] if keep_tokens is None else whole_numbers("--keep-tokens", keep_tokens),
    )
    if memory is not None and not 0 < memory < 2**20:
        raise UserError(f"--memory takes the GiB of a card, such as 80, not {memory:g}.")
    lengths = whole_numbers("--context", context or ["4096"])
    if wrong := [n for n in lengths if n < 1]:
        raise UserError(f"--context takes a number of tokens such as 4096, not {wrong[0]}.")
    check_model_name(model)
    from ..methods.estimate import cache_shape
    from ..methods.estimate import estimate as estimate_one
    from ..models.config import read_config
    from ..models.load import DTYPES

    one_of("--dtype", dtype, tuple(DTYPES))
    shape = cache_shape(model, read_config(model), dtype)
    if wrong := [n for n in lengths if n > shape.max_positions]:
        raise UserError(f"--context {wrong[0]} is more than {model} has, {shape.max_positions} positions.")
    memory_bytes = None if memory is None else int(memory * 2**30)
    rows = [estimate_one(shape, n, budget, memory_bytes) for n in dict.fromkeys(lengths) for budget in budgets]
    if json:
        print(json_.dumps([_row(model, dtype, shape, memory_bytes, row) for row in rows], indent=1))
    else:
        _print(model, dtype, shape, rows)
    return 0


def _row(model: str, dtype: str, shape: "CacheShape", memory_bytes: int | None, row: "Estimate") -> dict[str, Any]:
    return {
        "model": model,
        "dtype": dtype,
        "kv_bytes_per_token": shape.kv_bytes_per_token,
        "window_bytes": shape.window_bytes(row.n_tokens),
        "state_bytes": shape.model.state_bytes,
        "weight_bytes": shape.weight_bytes,
        "memory_bytes": memory_bytes,
        "n_context_tokens": row.n_tokens,
        "ratio": None if row.budget.ratio is None else f"{row.budget.ratio:f}",
        "keep_tokens": row.budget.keep_tokens,
        "kv_bytes_full": row.kv_bytes_full,
        "kv_bytes_kept": row.kv_bytes_kept,
        "batch_full": row.batch_full,
        "batch_kept": row.batch_kept,
    }


def _on_top(shape: "CacheShape") -> str:
    """What the other layers take, in words."""
    windows, states = shape.window_bytes(shape.max_positions), shape.model.state_bytes
    found = [f"sliding windows take up to {size(windows)}"] * bool(windows)
    found += [f"recurrent states take {size(states)}"] * bool(states)
    return f"; {' and '.join(found)} on top" if found else ""


def _print(model: str, dtype: str, shape: "CacheShape", rows: "list[Estimate]") -> None:
    print(f"{model}, {dtype}: weights {size(shape.weight_bytes)}, KV {size(shape.kv_bytes_per_token)} a token")
    if shape.model.kept_whole or shape.model.state_bytes:
        evicted, n_all = shape.model.n_layers, len(shape.model.layers)
        print(f"of {n_all} layers {evicted} are evicted{_on_top(shape)}")
    for row in rows:
        prune = row.budget.keep_tokens is None
        budget = f"prune {row.budget}" if prune else f"keep {row.budget}"
        line = f"{row.n_tokens:>8} tokens, {budget}: KV {size(row.kv_bytes_kept)} of {size(row.kv_bytes_full)}"
        if row.batch_kept is not None:
            line += f"; batch {row.batch_kept}, with full caches {row.batch_full}"
        print(line)
    print(NOTE)
