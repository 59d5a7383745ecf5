"""Which method to take for a model, a context length and a memory, by the results in a database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ... import UserError
from ...db.need import Need, memory_bytes, percent
from .results import cell_rows
from .values import one_of

if TYPE_CHECKING:
    from ...db.recommendation import Candidates
    from ...db.store import Store
    from ..methods.estimate import CacheShape


def need_of(model: str, n_tokens: int, memory: str, quality: str, db: str | None) -> Need:
    """What the options ask for.

    Raises:
        UserError: one of them makes no sense.
    """
    from ..models.find import check_model_name

    if not 1 <= n_tokens < 2**63:
        raise UserError(f"--context-length takes a number of tokens such as 32768, not {n_tokens}.")
    need = Need(model, n_tokens, memory_bytes("--memory", memory), float(percent("--min-quality", quality)), db)
    check_model_name(model)
    return need


def recommended(
    store: "Store", need: Need, dtype: str | None = None, task: Sequence[str] | None = None
) -> "list[Candidates]":
    """What a database says of a need, for each full cache that the model's configurations are held against.

    Args:
        store: The results.
        need: What a method is wanted for.
        dtype: Of the cache; None = as measured.
        task: Only these tasks or families; None = all that there are.

    Raises:
        UserError: the database has no complete results of the model, or none of its full cache; or `dtype` is none.
    """
    from ...db.recommendation import candidates, read_groups
    from ...db.urls import describe
    from ..models.find import model_title

    if dtype is not None:
        one_of("--dtype", dtype, ("float32", "bfloat16", "float16"))
    title = model_title(need.model)
    every = cell_rows(store, task)
    rows = [row for row in every if row["model"] == title and row["status"] != "unreadable"]
    where = describe(store.url)
    if not rows:
        there = ", ".join(sorted({str(row["model"]) for row in every})) or "no model"
        raise UserError(f'{where} has no results of {title}, but of {there}; "lukv-bench run" makes some.')
    groups = read_groups(store, rows)
    if not groups:
        raise UserError(
            f"{where} has no complete results of {title} beside those of its full cache on the same samples; "
            '"lukv-bench run" without --no-baselines makes both.'
        )
    shapes = _shapes(need, {str(group.full["dtype"]) for group in groups} if dtype is None else {dtype})
    return [candidates(group, shapes[dtype or group.full["dtype"]].sizes, need) for group in groups]


def recommended_rows(found: "Sequence[Candidates]") -> list[dict[str, Any]]:
    """All candidates, with `db.recommendation.RECOMMENDED_COLUMNS`."""
    return [row for each in found for row in each.rows]


def _shapes(need: Need, dtypes: set[str]) -> "dict[str, CacheShape]":
    from ..methods.estimate import cache_shape
    from ..models.config import read_config

    config = read_config(need.model)
    shapes = {dtype: cache_shape(need.model, config, dtype) for dtype in dtypes}
    most = next(iter(shapes.values())).max_positions
    if need.n_tokens > most:
        raise UserError(f"--context-length {need.n_tokens} is more than {need.model} has, {most} positions.")
    return shapes
