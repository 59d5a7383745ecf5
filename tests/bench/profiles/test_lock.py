"""One process at a time makes a profile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lukv_bench import UserError
from lukv_bench.bench.profiles import lock
from lukv_bench.bench.profiles.lock import only_process

HOLDER = """
import sys
from pathlib import Path
from lukv_bench.bench.profiles.lock import only_process
with only_process(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", ["done", "killed"])
def test_a_lock_is_waited_for_and_told_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(lock, "EVERY_S", 0.0)
    path = tmp_path / "deep" / "p.lock"
    holder = hold(path)
    waited: list[str] = []

    def waiting(process: str) -> None:
        if not waited:
            if end == "killed":
                holder.kill()
            elif holder.stdin is not None:
                holder.stdin.close()
        waited.append(process)

    with only_process(path, waiting):
        assert set(waited) == {str(holder.pid)}
        assert path.read_text() == str(os.getpid())
    holder.wait()
    assert not path.exists()


def test_a_lock_that_is_free_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "p.lock").write_text("12345, which is dead")
    waited: list[str] = []
    for _ in range(2):
        with only_process(tmp_path / "p.lock", waited.append):
            pass
    assert waited == []


def test_a_place_without_room_for_a_lock_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot lock .*LUKV_BENCH_CACHE"),
        only_process(tmp_path / "file" / "p.lock", print),
    ):
        pass
