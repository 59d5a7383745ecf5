"""What is wrong with a database: seen before work starts (a UserError), or while it is in use (a StoreError)."""

from .. import UserError


class NoResultsError(UserError):
    """There is no database yet, or an empty one."""


class OlderSchemaError(UserError):
    """An older lukv-bench wrote it, and it is opened for reading alone."""


class NewerSchemaError(UserError):
    """A newer lukv-bench wrote it."""


class ForeignDatabaseError(UserError):
    """It is another program's, or another program changed its tables."""


class UnreadableError(UserError):
    """It is no database, a broken one, or a server that does not answer."""


class LockedError(UserError):
    """Another program holds it, and lets nobody read."""


class StoreError(Exception):
    """The database cannot be read or written just now: full disk, broken file, lost server, locked too long.

    One sentence that names the database. A `UserError` is raised instead for whatever can be seen before work starts.
    """


class BusyError(StoreError):
    """Another process holds the database's lock."""


class MissingRowError(StoreError, LookupError):
    """A cell, a sample or a run that is written to is not in the database: somebody deleted it in the meantime."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(
            f"There is no {kind} {identity} in the database: it was deleted while it was in use; the same command "
            "makes what is missing."
        )
