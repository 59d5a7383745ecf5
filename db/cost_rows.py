"""A row per measurement of cost, as plain values: what `results --cost` and the site show."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np
from sqlalchemy import Connection, Text, cast, select

from .cost_records import STEPS
from .cost_tables import Cost, CostRepeat
from .database import Database
from .readable import Field, field, parsed
from .results import Row
from .schema import Environment
from .stored_fields import ReadValues, missing_configuration, read_configurations, read_values

SECONDS = (*STEPS, "ttft_s", "tpot_s")
"""Of which a row has the median over the repeats, and the quartiles under "_q1" and "_q3"."""

_OF_CONFIGURATION = (
    *("model", "protocol", "allocator", "scorer", "ratio", "keep_tokens", "allocator_args", "scorer_args", "dtype"),
    *("seed", "model_revision", "profile_hash", "sink", "window", "code_version", "label", "spec"),
)
_STORED = (
    *("task", "task_version", "data_revision", "length", "status", "error", "started_at", "n_context_tokens"),
    *("n_question_tokens", "n_new_tokens", "n_repeats", "max_memory", "gate_error", "gate_tolerance", "n_gate_tokens"),
    *("kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept", "kv_bytes_allocated", "footprint"),
    *("clock", "memory", "model_bytes", "batch_rows"),
)
_FIELDS: Mapping[str, Field] = {
    **{name: field(getattr(Cost, name)) for name in _STORED if name != "started_at"},
    "environment": field(Cost.environment_id),
    "machine": field(Environment.machine),
    "device": field(Environment.device),
}
_COMPUTED = (
    *(f"{name}{end}" for name in SECONDS for end in ("", "_q1", "_q3")),
    *("tokens_per_s", "batch_tokens_per_s", "peak_bytes", "peak_reserved_bytes", "batch_peak_bytes", "energy_j"),
)
COST_COLUMNS = (
    *("cost", "configuration", *_OF_CONFIGURATION, *_STORED, *_COMPUTED),
    *("machine", "device", "environment", "repeats", "batch_repeats"),
)
"""The columns of a row, in order."""

_NULL_UNLESS_DONE = (*_COMPUTED, "footprint", "kv_bytes_kept", "kv_bytes_allocated")


def read_costs(db: Database) -> list[Row]:
    """One row per measurement with COST_COLUMNS, in an order that depends on their content only.

    - `status` is "done", "failed" with its `error`, or "unreadable": another program broke it, or repeats are missing.
    - Seconds are medians over the repeats, with quartiles. `ttft_s` of a repeat is the sum of its steps: prefill,
      score, allocate, select, compact, first token. `tpot_s` of a repeat is the mean of its later tokens.
    - `tokens_per_s` is 1 / `tpot_s`; `batch_tokens_per_s` counts the tokens of all `batch_rows` rows.
    - `peak_bytes` is the largest of the repeats, the model included.
    - `repeats` and `batch_repeats` hold every measured value.
    """
    with db.reading() as connection:
        stored = _stored(connection)
        repeats = _repeats(connection)
        configurations = read_configurations(connection, {str(row["configuration"]) for row in stored})
    rows = []
    for row in stored:
        identity = row["configuration"]
        configuration = configurations.get(identity) or missing_configuration(str(identity))
        rows.append(_row(row, configuration, repeats.get(row["cost"], {})))
    return sorted(rows, key=_place)


def _stored(connection: Connection) -> list[dict[str, Any]]:
    query = select(
        *(Cost.id.label("cost"), Cost.configuration_id.label("configuration")),
        *(column.as_stored.label(name) for name, column in _FIELDS.items()),
        cast(Cost.started_at, Text).label("started_at"),
    ).outerjoin(Environment, Environment.id == Cost.environment_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _repeats(connection: Connection) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Measurement -> kind -> its repeats in order."""
    names = [column.name for column in CostRepeat.__table__.columns if column.name != "token_s"]
    columns = [CostRepeat.__table__.c[name] for name in names]
    query = select(*columns, cast(CostRepeat.token_s, Text).label("token_s")).order_by(
        CostRepeat.cost_id, CostRepeat.kind, CostRepeat.ordinal
    )
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in connection.execute(query).mappings():
        repeat = dict(row) | {"token_s": parsed(row["token_s"])}
        cost, kind = repeat.pop("cost_id"), repeat.pop("kind")
        found.setdefault(cost, {}).setdefault(kind, []).append(repeat)
    return found


def _row(
    stored: Mapping[str, Any], configuration: ReadValues, repeats: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    keys = {"cost": str(stored["cost"]), "environment": str(stored["environment"])}
    read = read_values(_FIELDS, stored, keys)
    row: dict[str, Any] = dict.fromkeys(COST_COLUMNS)
    row |= {name: configuration.values[name] for name in _OF_CONFIGURATION} | read.values
    row |= {"cost": keys["cost"], "configuration": str(stored["configuration"])}
    row["started_at"] = _moment(stored["started_at"])
    alone, batch = repeats.get("alone", []), repeats.get("batch", [])
    row |= {"repeats": alone, "batch_repeats": batch}
    errors = [*configuration.errors, *read.errors]
    if row["status"] == "done":
        n_batch = 0 if row["batch_rows"] is None else row["n_repeats"]
        if not (_are_whole(alone, row["n_repeats"], STEPS) and _are_whole(batch, n_batch, STEPS[-1:])):
            errors.append(f'repeats of row {row["cost"][:12]} in table "cost_repeat" are missing or no numbers')
    if errors:
        row |= {"status": "unreadable", "error": "; ".join(errors)}
    if row["status"] != "done":
        return row | dict.fromkeys(_NULL_UNLESS_DONE)
    return row | _summary(row, alone, batch)


def _moment(text: Any) -> str:
    """A stored moment in UTC; "" for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return ""
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()


def _are_whole(repeats: Sequence[Mapping[str, Any]], n: int, steps: Sequence[str]) -> bool:
    """Whether so many repeats are there, and every number of them is one."""
    if len(repeats) != n:
        return False
    for repeat in repeats:
        tokens = repeat["token_s"]
        there = [repeat[name] for name in steps] + (tokens if isinstance(tokens, list) and tokens else [None])
        others = [repeat[name] for name in ("peak_bytes", "peak_reserved_bytes", "energy_j")]
        if not all(map(_is_number, [*there, *(each for each in others if each is not None)])):
            return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _summary(row: Mapping[str, Any], alone: list[dict[str, Any]], batch: list[dict[str, Any]]) -> dict[str, Any]:
    """What the repeats amount to."""
    found: dict[str, Any] = {}
    of_repeat = {
        **{name: [repeat[name] for repeat in alone] for name in STEPS},
        "ttft_s": [sum(repeat[name] for name in STEPS) for repeat in alone],
        "tpot_s": [fmean(repeat["token_s"]) for repeat in alone],
    }
    for name, values in of_repeat.items():
        q1, median, q3 = np.percentile(np.array(values, dtype=float), (25, 50, 75)).tolist()
        found |= {name: median, f"{name}_q1": q1, f"{name}_q3": q3}
    found["tokens_per_s"] = 1 / found["tpot_s"] if found["tpot_s"] else None
    found["peak_bytes"] = _most(alone, "peak_bytes")
    found["peak_reserved_bytes"] = _most(alone, "peak_reserved_bytes")
    found["batch_peak_bytes"] = _most(batch, "peak_bytes")
    energy = [repeat["energy_j"] for repeat in alone]
    found["energy_j"] = None if None in energy else float(np.median(energy))
    if batch:
        pass_s = float(np.median([fmean(repeat["token_s"]) for repeat in batch]))
        found["batch_tokens_per_s"] = row["batch_rows"] / pass_s if pass_s else None
    return found


def _most(repeats: Sequence[Mapping[str, Any]], name: str) -> int | None:
    values = [repeat[name] for repeat in repeats]
    return None if not values or None in values else max(values)


def _place(row: Row) -> tuple[Any, ...]:
    """By task, length, model and budget; full, then uniform, then the others by name; by scorer, machine and age."""
    first = {"full": 0, "uniform": 1}
    return (
        *(row["task"], row["length"] or 0, row["model"], row["ratio"] is None, row["ratio"] or 0.0),
        *(row["keep_tokens"] or 0, first.get(row["allocator"], 2), row["allocator"], row["scorer"] or ""),
        *(row["label"], row["machine"] or "", row["n_new_tokens"], row["started_at"], row["cost"]),
    )
