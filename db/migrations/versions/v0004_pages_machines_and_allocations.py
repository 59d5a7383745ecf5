"""Whole method pages, tasks, machines and profiles; equal keep counts once; scores of cells whose answers are there."""

import hashlib
import json
from collections.abc import Iterator
from math import sqrt
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_HASH = sa.String(64)
_NAME = sa.String(255)
_ADDRESS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 2000
"""Rows that are moved together."""


def upgrade() -> None:
    """Add tables and columns, and fill them from the rows that are there."""
    op.add_column("method", sa.Column("details", sa.Text()))
    op.add_column("environment", sa.Column("machine", sa.Text()))
    op.add_column("profile", sa.Column("arrays", sa.LargeBinary()))
    _create_task()
    _create_configuration_profile()
    _create_allocation()
    is_offline = op.get_context().as_sql  # writes the statements out, and has no rows
    if not is_offline:
        connection = op.get_bind()
        _name_machines(connection)
        _carry_profiles_over(connection)
        _move_keep_counts(connection)
        _score_cells(connection)
    op.drop_table("keep_counts")


def _create_task() -> None:
    op.create_table(
        "task",
        sa.Column("name", _NAME, nullable=False),
        sa.Column("version", _NAME, nullable=False),
        sa.Column("family", _NAME, nullable=False),
        sa.Column("metric", _NAME, nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.PrimaryKeyConstraint("name", "version", name="pk_task"),
    )


def _create_configuration_profile() -> None:
    table, owner = "configuration_profile", "configuration"
    op.create_table(
        table,
        sa.Column("configuration_id", _HASH, nullable=False),
        sa.Column("role", _NAME, nullable=False),
        sa.Column("plugin", _NAME, nullable=False),
        sa.Column("profile_hash", _HASH, nullable=False),
        sa.PrimaryKeyConstraint("configuration_id", "role", "plugin", name="pk_configuration_profile"),
        sa.ForeignKeyConstraint(
            ["configuration_id"], [f"{owner}.id"], name=f"fk_{table}_configuration_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["profile_hash"], ["profile.hash"], name=f"fk_{table}_profile_hash"),
    )


def _create_allocation() -> None:
    op.create_table(
        "allocation",
        sa.Column("id", _ADDRESS, nullable=False, autoincrement=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_allocation"),
    )
    table = "answer_allocation"
    op.create_table(
        table,
        sa.Column("answer_id", sa.Integer(), nullable=False),
        sa.Column("allocation_id", _ADDRESS, nullable=False),
        sa.PrimaryKeyConstraint("answer_id", name="pk_answer_allocation"),
        sa.ForeignKeyConstraint(["answer_id"], ["answer.id"], name=f"fk_{table}_answer_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=f"fk_{table}_allocation_id"),
    )


def _name_machines(connection: sa.Connection) -> None:
    """As `bench.record.environment.machine_name` does it."""
    environment = _table("environment", "id", "platform", "device", "details", "machine")
    details = sa.cast(environment.c.details, sa.Text)
    rows = sa.select(environment.c.id, environment.c.platform, environment.c.device, details)
    for identity, system, device, text in connection.execute(rows).all():
        name = _machine(_parsed(text)) or str(device or system)
        connection.execute(sa.update(environment).where(environment.c.id == identity).values(machine=name))


def _machine(facts: Any) -> str | None:
    if not isinstance(facts, dict):
        return None
    parts = [str(facts[name]) for name in ("gpu", "processor") if facts.get(name)]
    if not parts:
        return None
    names = ("core",) if facts.get("gpu") else ("core", "thread")
    return ", ".join([*parts, *(_count(facts[f"{name}s"], name) for name in names if facts.get(f"{name}s"))])


def _count(number: Any, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _carry_profiles_over(connection: sa.Connection) -> None:
    """Until now one plugin had a profile: the allocator, or the one that it holds."""
    old = _table("configuration", "id", "allocator", "allocator_args", "profile_hash")
    new = _table("configuration_profile", "configuration_id", "role", "plugin", "profile_hash")
    arguments = sa.cast(old.c.allocator_args, sa.Text)
    rows = sa.select(old.c.id, old.c.allocator, arguments, old.c.profile_hash).where(old.c.profile_hash.is_not(None))
    for identity, name, text, digest in connection.execute(rows).all():
        role, plugin = _owner("allocator", name, _parsed(text))
        values = {"configuration_id": identity, "role": role, "plugin": plugin, "profile_hash": digest}
        connection.execute(sa.insert(new).values(values))


def _owner(role: str, name: str, arguments: Any) -> tuple[str, str]:
    """(role, name) of the innermost plugin."""
    for key, value in arguments.items() if isinstance(arguments, dict) else ():
        if isinstance(value, dict) and {"name", "arguments"} <= value.keys():
            return _owner(f"{role}.{key}", str(value["name"]), value["arguments"])
    return role, name


def _move_keep_counts(connection: sa.Connection) -> None:
    """Each distinct list of counts once, under a number made of it, and for each answer which one is its."""
    is_typed = connection.dialect.name == "postgresql"
    counts = sa.column("counts", sa.JSON() if is_typed else sa.Text())  # SQLite may hold what is not JSON
    allocation = sa.table("allocation", sa.column("id"), counts)
    links = _table("answer_allocation", "answer_id", "allocation_id")
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for rows in _old_keep_counts(connection):
        for _, text in rows:
            if text not in numbers:
                numbers[text] = _number(text, taken)
                stored = json.loads(text) if is_typed else text
                connection.execute(sa.insert(allocation).values(id=numbers[text], counts=stored))
        moved = [{"answer_id": answer, "allocation_id": numbers[text]} for answer, text in rows]
        connection.execute(sa.insert(links), moved)


def _number(text: str, taken: set[int]) -> int:
    """As `db.allocations` makes it."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 2**63
    while number in taken:
        number = (number + 1) % 2**63
    taken.add(number)
    return number


def _old_keep_counts(connection: sa.Connection) -> Iterator[list[tuple[int, str]]]:
    """(answer, counts as text), by portions."""
    old = _table("keep_counts", "answer_id", "counts")
    query = sa.select(old.c.answer_id, sa.cast(old.c.counts, sa.Text)).order_by(old.c.answer_id).limit(_AT_ONCE)
    rows = connection.execute(query).all()
    while rows:
        yield [(answer, _compact(text)) for answer, text in rows]
        rows = connection.execute(query.where(old.c.answer_id > rows[-1][0])).all()


def _score_cells(connection: sa.Connection) -> None:
    """Score what a run stopped before it scored it, or what only its aggregate broke on."""
    cell = _table("cell", "id", "samples_asked", "score", "stderr", "error")
    answer, sample = (
        _table("answer", "id", "cell_id", "sample_id", "status", "score"),
        _table("sample", "id", "ordinal"),
    )
    unscored = sa.select(cell.c.id, cell.c.samples_asked).where(cell.c.score.is_(None))
    for identity, n_samples in connection.execute(unscored).all():
        answers = sa.select(sample.c.ordinal, answer.c.score).join_from(
            answer, sample, sample.c.id == answer.c.sample_id
        )
        answers = answers.where(answer.c.cell_id == identity, answer.c.status == "done", sample.c.ordinal < n_samples)
        scores = {row.ordinal: row.score for row in connection.execute(answers.order_by(answer.c.id))}
        if 0 < n_samples == len(scores) and None not in scores.values():
            score, stderr = _mean([scores[ordinal] for ordinal in sorted(scores)])
            scored = sa.update(cell).where(cell.c.id == identity)
            connection.execute(scored.values(score=score, stderr=stderr, error=None))


def _mean(scores: list[float]) -> tuple[float, float | None]:
    """Mean and standard error on the scale 0 to 100."""
    n = len(scores)
    mean = sum(scores) / n
    if n == 1:
        return 100 * mean, None
    return 100 * mean, 100 * (sqrt(sum((score - mean) ** 2 for score in scores) / (n - 1)) / sqrt(n))


def _compact(text: Any) -> str:
    """JSON without blanks; what another program put there and is none stays as it is."""
    value = _parsed(text)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))
