"""Checks whether a file can be written, before the work that produces it."""

import os
from pathlib import Path

from ... import UserError
from ...db.places import PSEUDO, file_system, mount_table
from .access import user_path
from .kinds import FileKind, is_of_kind


def check_file_place(path: Path, option: str, kind: FileKind | None = None, cure: str = "choose another place") -> None:
    """Refuse a path that cannot be written; nothing is created.

    Args:
        path: The path.
        option: The option that named it, for messages.
        kind: Existing files of this kind may be overwritten; None = no file may.
        cure: The advice at the end of the message.

    Raises:
        UserError: the path is a folder, is below a file, is not writable, or exists as a file of another kind.
    """
    path = user_path(path, option)
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it.")
    if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        raise UserError(f"{option} {path} exists and cannot be replaced; {cure}.")
    if path.exists() and not (kind is not None and is_of_kind(path, kind)):
        what = "" if kind is None else f" and is not {kind.name}"
        raise UserError(f"{option} {path} exists{what}; choose another place, or remove it.")
    above = path.resolve().parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise UserError(f"{option} {path} is below {above}, which is a file; {cure}.")
    of_the_kernel = PSEUDO.fullmatch(file_system(above, mount_table()) or "")  # they appear writable to root
    if of_the_kernel or os.statvfs(above).f_flag & os.ST_RDONLY or not os.access(above, os.W_OK):
        raise UserError(f"{option} {path} cannot be written: {above} is read-only; {cure}.")
