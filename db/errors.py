"""The error of a database that failed while a run was at work."""


class StoreError(Exception):
    """The database cannot be read or written just now: full disk, broken file, lost server, locked too long.

    One sentence that names the database. A `UserError` is raised instead for whatever can be seen before work starts.
    """


class MissingRowError(StoreError, LookupError):
    """A cell, a sample or a run that is written to is not in the database: somebody deleted it in the meantime."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(
            f"There is no {kind} {identity} in the database: it was deleted while it was in use; the same command "
            "makes what is missing."
        )
