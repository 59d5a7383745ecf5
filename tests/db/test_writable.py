"""What `check_writable` refuses before any work. The tests run as root, whom no permission stops."""

import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from lukv_bench import UserError
from lukv_bench.db.identity import VERSION_TABLE
from lukv_bench.db.places import check_local, file_system
from lukv_bench.db.store import Store
from lukv_bench.db.urls import check_writable, resolve_url


def _check(path: Path | str) -> None:
    check_writable(resolve_url(str(path)))


def _snapshot(folder: Path) -> list[tuple[str, int, bytes]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    Store.open(resolve_url(str(tmp_path / "ours.db")), create=True).close()
    (tmp_path / "empty.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "not" / "there.db")
    before = _snapshot(tmp_path)
    for name in ("ours.db", "empty.db", "link.db", "new.db", "deep/er/new.db"):
        _check(tmp_path / name)
    assert _snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("{tmp}", "is a folder; name a file in it"),
        ("{tmp}/text/x.db", "is not a folder"),
        ("{tmp}/text/a/b/x.db", "is not a folder"),
        ("{tmp}/text", "not a readable SQLite database"),
        ("{tmp}/short", "not a readable SQLite database"),
        ("{tmp}/torn", "not a readable SQLite database"),
        ("{tmp}/loop/x.db", "cannot be used"),
        ("{tmp}/pipe", "a device or a pipe"),
        ("/dev/null", "a device or a pipe"),
        ("/proc/x.db", "on proc, which holds no files"),
        ("/proc/self/x.db", "on proc, which holds no files"),
        ("/sys/kernel/x.db", "on sysfs, which holds no files"),
        ("{tmp}/" + "x" * 300, "cannot be used"),
        ("{tmp}/a\0b", "cannot be used"),
    ],
)
def test_places_that_hold_no_database(path: str, sentence: str | None, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a text " * 100)
    (tmp_path / "short").write_text("xy")
    (tmp_path / "torn").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=sentence) as error:
        _check(path.format(tmp=tmp_path))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("CREATE TABLE cell (id)", 'of another program .it holds the table "cell"'),
        ("CREATE TABLE alembic_version (version_num)", "of another program"),
        (f"CREATE TABLE {VERSION_TABLE} (version_num)", None),
        (f"CREATE TABLE {VERSION_TABLE} AS SELECT '9999' AS version_num", r"newer lukv-bench .schema 9999"),
    ],
)
def test_databases_of_others(statement: str, sentence: str | None, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    if sentence is None:
        _check(path)
        return
    before = _snapshot(tmp_path)
    for open_it in (_check, lambda path: Store.open(resolve_url(str(path)), create=False)):
        with pytest.raises(UserError, match=sentence):
            open_it(path)
    assert _snapshot(tmp_path) == before


def test_read_only_mount(tmp_path: Path, cannot: Callable[[str], NoReturn]) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], capture_output=True, check=False)
    if mount.returncode:
        cannot("needs the right to mount")
    try:
        Store.open(resolve_url(str(tmp_path / "there.db")), create=True).close()
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        for name in ("new.db", "deep/new.db", "there.db"):
            with pytest.raises(UserError, match="cannot be written"):
                _check(tmp_path / name)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_unreachable_server() -> None:
    with pytest.raises(UserError, match=r"cannot be reached|driver"):
        _check("postgresql+psycopg://u:secret@127.0.0.1:1/db")


_MOUNTS = r"""rootfs / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/me/local ext4 rw 0 0
me@host: /home/me/with\040space fuse.sshfs rw 0 0
none /tmp tmpfs rw 0 0
lab /tmp cifs rw 0 0
work /srv/data 9p rw 0 0
overlay /over overlay rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/x.db", "ext4"),
        ("/homely/x.db", "ext4"),
        ("/home/x.db", "nfs4"),
        ("/home/me/local/x.db", "ext4"),
        ("/home/me/with space/a/x.db", "fuse.sshfs"),
        ("/tmp/x.db", "cifs"),
        ("/srv/data/x.db", "9p"),
        ("/over/x.db", "overlay"),
    ],
)
def test_network_file_systems(path: str, kind: str) -> None:
    assert file_system(Path(path), _MOUNTS) == kind
    if kind in ("nfs4", "cifs", "fuse.sshfs"):
        with pytest.raises(UserError, match=f"network file system .{kind}.*local disk"):
            check_local(Path(path), _MOUNTS)
    else:
        check_local(Path(path), _MOUNTS)


def test_no_list_of_mounts() -> None:
    assert file_system(Path("/x.db"), "") is None
    check_local(Path("/x.db"), "")
