"""Where a SQLite file may live: judged by looking only, nothing is opened, created or changed.

Opening a SQLite file by ordinary means would also drop the locks that this process holds on it
(POSIX locks go with the first descriptor that is closed), so even a look inside is left to SQLite.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .. import UserError

NETWORK = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|afs|ceph|lustre|gpfs|beegfs|glusterfs|ocfs2|gfs2|orangefs|pvfs2|ncpfs"
    r"|fuse\.(sshfs|ceph|glusterfs|s3fs|s3ql|rclone|gcsfuse|davfs2?|juicefs|goofys|smbnetfs)"
)
"""File systems seen by several machines: SQLite's locks and its WAL's shared memory do not hold there."""

PSEUDO = re.compile(
    r"proc|sysfs|cgroup2?|devpts|securityfs|debugfs|tracefs|configfs|pstore|bpf|efivarfs|mqueue|fusectl"
    r"|binfmt_misc|rpc_pipefs|selinuxfs|nsfs|autofs"
)
"""The kernel's own file systems: they look like writable folders to root, and hold no files."""

_MOUNTS = Path("/proc/self/mounts")


def mount_table() -> str:
    """The mounted file systems, in the form of /proc/self/mounts; empty where the system has no such list."""
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def file_system(path: Path, table: str) -> str | None:
    """The kind of file system that holds an absolute path without links; None when the table does not say."""
    deepest: tuple[int, str] | None = None
    for point, kind in _mounts(table):
        depth = len(point.parts)
        if path.is_relative_to(point) and (deepest is None or depth >= deepest[0]):  # a later mount hides an earlier
            deepest = (depth, kind)
    return deepest[1] if deepest else None


def real_path(path: Path) -> Path:
    """The path without links. UserError when it cannot be one (a loop of links, a name that is too long)."""
    try:
        real = path.resolve()
        nearest_existing(real)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f'"{path}" cannot be used as a file ({error}); name another with --db.') from error
    return real


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest folder (or file) above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_local(path: Path, table: str | None = None) -> None:
    """UserError when SQLite may not live at a real path: a network or a kernel file system."""
    kind = file_system(path, mount_table() if table is None else table) or ""
    if NETWORK.fullmatch(kind):
        raise UserError(
            f'"{path}" is on a network file system ({kind}), where SQLite loses data; '
            "name a file on a local disk with --db, or a PostgreSQL URL."
        )
    if PSEUDO.fullmatch(kind):
        raise UserError(f'"{path}" is on {kind}, which holds no files; name a file on a disk with --db.')


def check_regular(path: Path) -> None:
    """UserError when an existing path is not an ordinary file."""
    if path.is_dir():
        raise UserError(f'"{path}" is a folder; name a file in it, such as "{path / "results.db"}".')
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f'"{path}" is a device or a pipe, not a file; name another with --db.')


def check_changeable(path: Path) -> None:
    """UserError when an existing file, or the folder that SQLite keeps its journal in, cannot be written."""
    if not is_changeable(path):
        raise UserError(f'"{path}" cannot be written; name another file with --db.')
    _check_folder(path.parent, path)


def is_changeable(path: Path) -> bool:
    """Whether an existing file or folder can be written."""
    return not _read_only(path) and os.access(path, os.W_OK)


def check_creatable(path: Path) -> None:
    """UserError when a file that does not exist could not be created, with the folders above it."""
    _check_folder(nearest_existing(path), path)


def _check_folder(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise UserError(f'"{path}" cannot be created, "{folder}" is not a folder; name another file with --db.')
    if _read_only(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'"{path}" cannot be written, nor can its folder "{folder}"; name another file with --db.')


def _read_only(path: Path) -> bool:
    """Whether the mount is read-only, which root's own permissions do not show everywhere."""
    if sys.platform == "win32":
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _mounts(table: str) -> Iterator[tuple[Path, str]]:
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            yield Path(_unescaped(fields[1])), fields[2]


def _unescaped(field: str) -> str:
    """A mount point as written by the kernel, which turns these four characters into octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
