"""Measurements of cost in the store: each put whole or not at all, and read with all of its repeats."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from .cost_records import CostRecord, RepeatRecord
from .cost_tables import Cost, CostDevice, CostRepeat
from .errors import StoreError
from .portions import portions
from .schema import Configuration
from .store import Store


class OverlapError(StoreError):
    """Another measurement used the device at the same time, so that neither can be trusted; nothing was stored."""


def put_cost(store: Store, record: CostRecord, *, redo: bool = False) -> bool:
    """Write a measurement; False, and nothing is written, when a done one with its id is there.

    A failed one is replaced; with `redo` also a done one, but never by a failure.

    Raises:
        OverlapError: another measurement, done or failed, used one of its devices at the same time.
        StoreError: the database failed.
    """
    with store.writing() as connection:
        status = connection.scalar(select(Cost.status).where(Cost.id == record.id))
        if status == "done" and not (redo and record.status == "done"):
            return False
        _check_alone(connection, record)
        connection.execute(delete(Cost).where(Cost.id == record.id))
        _insert(connection, record)
    return True


def done_costs(store: Store, ids: Collection[str]) -> set[str]:
    """Those of some ids whose measurement is done."""
    with store.reading() as connection:
        return {
            identity
            for some in portions(sorted(ids))
            for identity in connection.scalars(select(Cost.id).where(Cost.id.in_(some), Cost.status == "done"))
        }


def has_costs(connection: Connection, configuration_id: str) -> bool:
    """Whether a configuration's cost was measured."""
    query = select(Cost.id).where(Cost.configuration_id == configuration_id)
    return connection.execute(query.limit(1)).first() is not None


def _check_alone(connection: Connection, record: CostRecord) -> None:
    """Measurements that took the same moment: the schema's trigger refuses them too, whoever writes."""
    others = (
        select(Cost.task, Configuration.label)
        .join(CostDevice, CostDevice.cost_id == Cost.id)
        .join(Configuration, Configuration.id == Cost.configuration_id)
        .where(CostDevice.device.in_(record.devices), Cost.id != record.id)
        .where(Cost.started_at < record.finished_at, Cost.finished_at > record.started_at)
    )
    if (other := connection.execute(others.limit(1)).first()) is not None:
        raise OverlapError(
            f"The measurement of {other.label} on {other.task} used the device at the same time; nothing was stored."
        )


def _insert(connection: Connection, record: CostRecord) -> None:
    values: dict[str, Any] = {
        column.name: getattr(record, column.name) for column in Cost.__table__.columns if column.name != "details"
    }
    connection.execute(insert(Cost).values(details=dict(record.details), **values))
    devices = [{"cost_id": record.id, "device": device} for device in dict.fromkeys(record.devices)]
    connection.execute(insert(CostDevice), devices)
    rows = [*_rows(record.id, "alone", record.repeats), *_rows(record.id, "batch", record.batch)]
    if rows:
        connection.execute(insert(CostRepeat), rows)


def _rows(cost_id: str, kind: str, repeats: Sequence[RepeatRecord]) -> list[dict[str, Any]]:
    return [
        {"cost_id": cost_id, "kind": kind, "ordinal": ordinal, **asdict(repeat), "token_s": list(repeat.token_s)}
        for ordinal, repeat in enumerate(repeats)
    ]
