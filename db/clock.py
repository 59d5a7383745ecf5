"""What time it is, for moments that several processes compare."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select


def moment(connection: Connection) -> datetime:
    """The server's clock, since the machines that write to it have clocks of their own; a file has one machine."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now
    return datetime.now(UTC)
