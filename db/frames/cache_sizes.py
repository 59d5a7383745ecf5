"""What the cache of a model takes, as the record shows it."""

from typing import Any, NamedTuple

from sqlalchemy import select

from ..cache_sizes import CacheSizes, Window
from ..comparable import Setting
from ..database import Database
from ..readable import Unreadable, field
from ..schema import Answer, Cell, Configuration, Model
from ..standing import DONE
from .conditions import has_setting

ITEMSIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by the names of dtypes in the record."""

_MODEL = {name: field(getattr(Model, name)) for name in ("n_layers", "n_kv_heads", "head_dim", "details")}
_ANSWER = {name: field(getattr(Answer, name)) for name in ("n_context_tokens", "kv_bytes_full")}


class StoredSizes(NamedTuple):
    """The sizes of a model's cache.

    Attributes:
        max_positions: Tokens that the model can hold; None where the record does not say.
        measured_at: None where the sizes are exact at any length. Else a context length: what sliding windows hold is
            known of that length alone, and taken for the others.
    """

    sizes: CacheSizes
    max_positions: int | None
    measured_at: int | None


def read_cache_sizes(db: Database, setting: Setting) -> StoredSizes | str:
    """The sizes of the cache of a setting's model, or a sentence that says why the record does not tell them.

    Layers, heads and windows are those of the model's row. What its recurrent states take is read off one answer: the
    bytes of the full cache, less those of keys and values.
    """
    model = select(*(column.as_stored for column in _MODEL.values())).where(Model.revision == setting.model_revision)
    answers = (
        select(*(column.as_stored for column in _ANSWER.values()))
        .join(Cell, Cell.id == Answer.cell_id)
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .where(has_setting(setting), DONE, Answer.n_context_tokens > 0, Answer.kv_bytes_full > 0)
        .limit(1)
    )
    with db.reading() as connection:
        stored, answer = connection.execute(model).first(), connection.execute(answers).first()
    if stored is None or answer is None:
        return "No answer says what the full cache of this model takes."
    try:
        shape = _read(_MODEL, stored, setting.model_revision)
        n_tokens, kv_bytes = _read(_ANSWER, answer, setting.model_revision).values()
        return _sizes(shape, setting.dtype, n_tokens, kv_bytes)
    except Unreadable as error:
        return f"The sizes of this model's cache cannot be read: {error}."


def _read(fields: dict[str, Any], values: Any, row: str) -> dict[str, Any]:
    return {name: column.read(value, row) for (name, column), value in zip(fields.items(), values, strict=True)}


def _sizes(shape: dict[str, Any], dtype: str, n_tokens: int, kv_bytes: int) -> StoredSizes:
    details = shape["details"]
    numbers = 2 * shape["n_layers"] * shape["n_kv_heads"] * shape["head_dim"]
    if dtype not in ITEMSIZES or numbers <= 0:
        raise Unreadable(f"{dtype} numbers, {numbers} a token, make no cache")
    windows = _windows(details.get("windows", []))
    plain = CacheSizes(numbers, ITEMSIZES[dtype], windows)
    rest = kv_bytes - plain.full_bytes(n_tokens)
    if rest < 0:
        raise Unreadable(f"an answer over {n_tokens} tokens has {-rest} bytes less than its keys and values take")
    is_exact = rest == 0 or "windows" in details or "evicted_layers" not in details
    most = details.get("max_positions")
    return StoredSizes(
        CacheSizes(numbers, ITEMSIZES[dtype], windows, rest),
        most if type(most) is int and most > 0 else None,
        None if is_exact else n_tokens,
    )


def _windows(stored: Any) -> tuple[Window, ...]:
    """Sliding windows as a run writes them: of each the most tokens that it holds, and the numbers of a token."""
    try:
        windows = tuple(Window(most, numbers) for most, numbers in stored)
    except (TypeError, ValueError) as error:
        raise Unreadable('"windows" are not pairs of numbers') from error
    if not all(
        type(number) is int and number >= 0 for one in windows for number in (one.most_tokens, one.numbers_per_token)
    ):
        raise Unreadable('"windows" are not pairs of numbers')
    return windows
