"""Files that a user names: what can be no path, what has no end, and writing that leaves nothing behind."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lukv_bench import UserError
from lukv_bench.bench.files.access import check_readable, read_text, user_path, write_whole
from lukv_bench.bench.files.kinds import ARRAY, INSPECTION, PROFILE, PROFILE_NOTES, SAMPLES, is_of_kind
from lukv_bench.bench.files.writable import check_file_place


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path / "loop"


@pytest.mark.parametrize("name", ["~nobody-at-all/x", "x" * 300, "x/" * 3000, "a\0b", "\ud800"])
def test_what_can_be_no_path_is_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"--out .* cannot be used"):
        user_path(name, "--out")
    with pytest.raises(UserError, match="--out"):
        check_file_place(Path(name), "--out")


def test_a_loop_of_links_is_no_path(loop: Path) -> None:
    for path in (loop, loop / "below"):
        with pytest.raises(UserError, match="loop"):
            user_path(path, "--out")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "fifo"])
def test_what_may_have_no_end_is_not_read(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match="device or a pipe"):
        read_text(tmp_path / path, "--context")


def test_a_folder_and_a_missing_file_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder"):
        check_readable(tmp_path, "--context")
    with pytest.raises(UserError, match="No such file"):
        check_readable(tmp_path / "missing", "--context")


def test_a_failed_write_leaves_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_whole(tmp_path / "a" / "b" / "file", "--out", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", "--out", fail)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "before"}


def test_a_written_file_has_its_folders_and_an_ordinary_file_s_mode(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", "--out", lambda path: path.write_text("whole"))
    assert (tmp_path / "a" / "b" / "file").read_text() == "whole"
    (tmp_path / "other").write_text("")
    assert (tmp_path / "a" / "b" / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("kind", [PROFILE, PROFILE_NOTES, INSPECTION, ARRAY, SAMPLES, None])
@pytest.mark.parametrize("content", [b"my thesis", b"{}", b'{"hash": 1}', b"[" * 100_000, b"PK\x03\x04", b"\xff" * 64])
def test_a_file_of_another_kind_is_not_written_over(kind: object, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(content)
    with pytest.raises(UserError, match=r"--out .*mine exists"):
        check_file_place(tmp_path / "mine", "--out", kind)  # type: ignore[arg-type]  # parametrised


def test_files_of_ones_own_kind_and_empty_ones_are_written_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "kept.npz", token_ids=[1], counts=[1], offsets=[1], positions=[1])
    np.save(tmp_path / "ratios.npy", [0.5])
    (tmp_path / "empty").touch()
    check_file_place(tmp_path / "kept.npz", "--out", INSPECTION)
    check_file_place(tmp_path / "ratios.npy", "--out", ARRAY)
    check_file_place(tmp_path / "empty", "--out", PROFILE)
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("weights.npy", b"")
    assert not is_of_kind(tmp_path / "other.npz", INSPECTION)


@pytest.mark.parametrize("target", ["there", "far/not/yet"])
def test_what_a_link_leads_to_is_written_and_the_link_stays(target: str, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "work").mkdir()
    link = tmp_path / "work" / "link"
    link.symlink_to(Path("..", target))
    check_file_place(link, "--out", ARRAY)
    write_whole(link, "--out", lambda path: path.write_text("whole"))
    assert link.is_symlink()
    assert (tmp_path / target).read_text() == "whole"
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["link"]


def test_a_link_into_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/sys/nowhere")
    with pytest.raises(UserError, match="read-only"):
        check_file_place(tmp_path / "link", "--out", ARRAY)
