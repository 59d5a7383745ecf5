"""The SQLite file that the user named, known and judged without SQLAlchemy, which takes longer to import."""

import re
from difflib import get_close_matches
from pathlib import Path

import platformdirs

from .. import UserError
from .errors import NoResultsError
from .folders import user_folder
from .places import check_changeable, check_creatable, check_local, check_regular, real_path

KINDS = ("sqlite", "postgresql")
"""The schema and the lock that lets one process write at a time were made for these, and tested with them."""


def named_file(text: str | None) -> Path | None:
    """The absolute path that `--db TEXT` means, without text that under the user's data folder; None for a URL.

    UserError when the text is neither, or when there is no home folder.
    """
    if text is None:
        folder = user_folder(platformdirs.user_data_dir, "lukv-bench", False)
        if folder is None:
            raise UserError("There is no home folder to keep results in; name a file with --db, such as results.db.")
        return absolute(folder / "results.db")
    if not text.strip():
        raise UserError("The database name is empty; name a file with --db, such as results.db, or leave --db out.")
    if text.strip() == ":memory:":
        raise in_memory()
    if "://" in text:
        return None
    if kind := re.match(r"(sqlite|postgres(?:ql)?|mysql|mariadb)(\+\w+)?:", text):
        if kind[1] not in KINDS:
            raise no_kind(kind[1])
        raise UserError(f'"{kind[0]}" lacks its slashes; write {kind[0]}// in front of the rest, or a plain path.')
    return absolute(Path(text))


def absolute(path: Path) -> Path:
    """The path from the root, so that a later change of folder does not move it. UserError for "~nobody/x.db"."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f'"{path}" names a home folder that is not there; write the whole path.') from error


def in_memory() -> UserError:
    """The error for a database that no file holds."""
    return UserError("A database in memory would be lost at the end; name a file with --db, such as results.db.")


def no_kind(kind: str) -> UserError:
    """The error for a kind of database that holds no results."""
    near = get_close_matches(kind, KINDS, n=1)
    hint = f"did you mean {near[0]}://?" if near else "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    return UserError(f'"{kind}" is no kind of database that holds results, SQLite and PostgreSQL are; {hint}')


def check_usable(path: Path) -> Path | None:
    """UserError unless a file is missing with room to create it, or an ordinary and writable one on a local disk.

    Returns:
        The path without links where there is a file, whose content is not judged here; None where there is none.
    """
    real = real_path(path)
    check_local(real)
    if not real.exists():
        check_creatable(real)
        return None
    check_regular(real)
    check_changeable(real)
    return real


def check_there(path: Path) -> None:
    """UserError when a file is missing or may not be used where it is."""
    real = real_path(path)
    check_local(real)
    if not real.exists():
        raise NoResultsError(nothing_yet(str(path)))
    check_regular(real)


def nothing_yet(where: str) -> str:
    """What is said of a database that does not hold results."""
    return f'There are no results at "{where}" yet; make some with "lukv-bench run", or name others with --db.'
