"""Where a file can be written. The tests run as root, whom no permission stops."""

from pathlib import Path

import pytest

from lukv_bench import UserError
from lukv_bench.bench.files import writable
from lukv_bench.bench.files.writable import check_file_place

MOUNTS = """overlay / overlay rw 0 0
proc /proc proc rw 0 0
sysfs /sys sysfs rw 0 0
proc {tmp}/jail/proc proc rw 0 0
"""


@pytest.mark.parametrize("path", ["/proc/x.npz", "/proc/self/x.npz", "/sys/kernel/deep/er/x.npz", "{tmp}/link/x.npz"])
def test_the_kernels_own_folders_hold_no_files(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/sys/kernel")
    with pytest.raises(UserError, match=r"--out .* cannot be written: .* is read-only"):
        check_file_place(Path(path.format(tmp=tmp_path)), "--out")


def test_a_folder_is_judged_by_its_file_system_and_not_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writable, "mount_table", lambda: MOUNTS.format(tmp=tmp_path))
    (tmp_path / "jail" / "proc").mkdir(parents=True)
    (tmp_path / "jail" / "processed").mkdir()
    check_file_place(tmp_path / "jail" / "processed" / "x.npz", "--out")
    with pytest.raises(UserError, match="read-only"):
        check_file_place(tmp_path / "jail" / "proc" / "x.npz", "--out")


@pytest.mark.parametrize("path", ["/processed/x.npz", "/system/x.npz", "/proc2/deep/er/x.npz"])
def test_a_name_that_begins_as_the_kernels_folders_do_is_no_reason(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {Path(path).parent, *Path(path).parent.parents}
    monkeypatch.setattr(Path, "exists", lambda self: self in there)
    monkeypatch.setattr(Path, "is_dir", lambda self: self in there)
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    monkeypatch.setattr(writable.os, "statvfs", lambda _: Writable())
    monkeypatch.setattr(writable.os, "access", lambda *_: True)
    check_file_place(Path(path), "--out")


class Writable:
    """What is mounted to be written to."""

    f_flag = 0
