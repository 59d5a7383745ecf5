"""Which method to take for a model, a context length and a memory, by the results in a database."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ... import UserError
from .results import cell_rows
from .values import MOST_SAMPLES, memory_bytes, one_of, percent

if TYPE_CHECKING:
    from ...db.recommendation import Candidates
    from ...db.store import Store
    from ..methods.estimate import CacheShape
    from ..reports.recommendation import Recommended

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """What a method is wanted for, checked.

    Attributes:
        model: As typed.
        n_tokens: Of the context.
        memory_bytes: For the keys and values that one sequence keeps.
        share: Of the full cache's score to keep, 0 < share <= 1.
        dtype: Of the cache; None = as measured.
        db: As typed, for the command that is recommended.
        task: Only these tasks or families; None = all that there are.
    """

    model: str
    n_tokens: int
    memory_bytes: int
    share: float
    dtype: str | None = None
    db: str | None = None
    task: Sequence[str] | None = None


def need_of(
    model: str, n_tokens: int, memory: str, quality: str, dtype: str | None, db: str | None, task: Sequence[str] | None
) -> Need:
    """What the options ask for.

    Raises:
        UserError: one of them makes no sense.
    """
    from ..models.find import check_model_name

    if not 1 <= n_tokens < 2**63:
        raise UserError(f"--context-length takes a number of tokens such as 32768, not {n_tokens}.")
    n_bytes, share = memory_bytes("--memory", memory), float(percent("--min-quality", quality))
    if dtype is not None:
        one_of("--dtype", dtype, ("float32", "bfloat16", "float16"))
    check_model_name(model)
    return Need(model, n_tokens, n_bytes, share, dtype, db, task)


def recommended(store: "Store", need: Need) -> "list[Recommended]":
    """What a database says of a need, for each full cache that the model's configurations are held against.

    Raises:
        UserError: the database has no complete results of the model, or none of its full cache.
    """
    from ...db.recommendation import read_candidates
    from ...db.rivals import find_rivals, parse_against
    from ...db.urls import describe
    from ..models.find import model_title

    title = model_title(need.model)
    every = cell_rows(store, need.task)
    rows = [row for row in every if row["model"] == title and row["status"] != "unreadable"]
    where = describe(store.url)
    if not rows:
        there = ", ".join(sorted({str(row["model"]) for row in every})) or "no model"
        raise UserError(f'{where} has no results of {title}, but of {there}; "lukv-bench run" makes some.')
    rivals = find_rivals(rows, parse_against("full", rows)) if any(row["allocator"] == "full" for row in rows) else None
    if rivals is None or not rivals.of:
        raise UserError(
            f"{where} has no complete results of {title} beside those of its full cache on the same samples; "
            '"lukv-bench run" without --no-baselines makes both.'
        )
    shapes = _shapes(need, rows)

    def kv_bytes(row: Row) -> int:
        return _kept_bytes(shapes[need.dtype or row["dtype"]], row, need.n_tokens)

    found = read_candidates(store, rows, rivals, kv_bytes, need.memory_bytes, need.share)
    return [_recommended(candidates, shapes, need) for candidates in found]


def recommended_rows(found: "Sequence[Recommended]") -> list[dict[str, Any]]:
    """All candidates, with `db.recommendation.RECOMMENDED_COLUMNS`."""
    return [row for each in found for row in each.candidates.rows]


def _shapes(need: Need, rows: Sequence[Row]) -> "dict[str, CacheShape]":
    from ..methods.estimate import cache_shape
    from ..models.config import read_config

    config = read_config(need.model)
    dtypes = {str(row["dtype"]) for row in rows} if need.dtype is None else {need.dtype}
    shapes = {dtype: cache_shape(need.model, config, dtype) for dtype in dtypes}
    most = next(iter(shapes.values())).max_positions
    if need.n_tokens > most:
        raise UserError(f"--context-length {need.n_tokens} is more than {need.model} has, {most} positions.")
    return shapes


def _kept_bytes(shape: "CacheShape", row: Row, n_tokens: int) -> int:
    from ..methods.budget import Budget, parse_ratio
    from ..methods.estimate import estimate

    ratio = None if row["keep_tokens"] is not None or row["ratio"] is None else parse_ratio(str(row["ratio"]))
    budget = Budget(ratio, row["keep_tokens"])
    return estimate(shape, n_tokens, budget, None).kv_bytes_kept


def _recommended(candidates: "Candidates", shapes: "Mapping[str, CacheShape]", need: Need) -> "Recommended":
    from ..reports.recommendation import Recommended

    shape = shapes[need.dtype or candidates.full["dtype"]]
    left = need.memory_bytes - shape.kept_whole_bytes(need.n_tokens)
    rows = [row | {"command": _command(need, row, candidates)} for row in candidates.rows]
    return Recommended(
        replace(candidates, rows=rows), shape.full_bytes(need.n_tokens), left // shape.kv_bytes_per_token
    )


def _command(need: Need, row: Mapping[str, Any], candidates: "Candidates") -> str | None:
    """The run that would tell whether a candidate meets the target: beyond the measured lengths at the one asked for.

    None where no number of samples would, or more than a run takes.
    """
    from ...db.labels import allocator_label, schedule_label, scorer_label

    if row["samples_needed"] is None:
        return None
    limit = -(-row["samples_needed"] // row["n_tasks"])
    if limit > MOST_SAMPLES:
        return None
    source = candidates.sources[row["configuration"]]
    lengths = row["lengths"] if row["lengths"] and need.n_tokens <= row["lengths"][-1] else [need.n_tokens]
    keeps = source["keep_tokens"] is not None
    options = {
        "db": need.db,
        "model": need.model,
        "dtype": source["dtype"],
        "allocator": allocator_label(source),
        "scorer": None if source["scorer"] is None else scorer_label(source),
        "ratio": None if keeps else source["ratio"],
        "keep-tokens": source["keep_tokens"],
        "schedule": None if schedule_label(source) == "one-shot" else schedule_label(source),
        "sink": source["sink"],
        "window": source["window"],
        "protocol": source["protocol"],
        "tasks": ",".join(row["tasks"]),
        "length": ",".join(map(str, lengths)) if row["lengths"] else None,
        "seed": source["seed"],
        "limit": limit,
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " ".join(["lukv-bench run", *given])
