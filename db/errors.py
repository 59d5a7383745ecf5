"""The error of a database that failed while a run was at work."""


class StoreError(Exception):
    """The database cannot be read or written just now: full disk, broken file, lost server, locked too long.

    One sentence that names the database. A `UserError` is raised instead for whatever can be seen before work starts.
    """
