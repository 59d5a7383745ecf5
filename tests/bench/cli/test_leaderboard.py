"""`lukv-bench leaderboard`: the site's process, from the outside."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

PROGRAM = str(Path(sys.executable).with_name("lukv-bench"))
PATIENCE_S = 120


def command(*words: object, home: Path) -> "subprocess.Popen[str]":
    """The program with a home folder of its own; Ctrl-C reaches it as in a terminal."""
    environment = os.environ | {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    return subprocess.Popen(
        [PROGRAM, "leaderboard", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    )


def finished(*words: object, home: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    process = command(*words, home=home)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "results.db"
    Store.open(resolve_url(str(path)), create=True).close()
    return path


@pytest.fixture
def site(tmp_path: Path, database: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A site that answers, and its address."""
    process = command("--db", database, "--no-browser", "--port", free_port(), home=tmp_path)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://127.0.0.1:" in line, process.stderr and process.stderr.read()
    yield process, line.split(" (")[0].split(": ")[1]
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_site_answers_and_ctrl_c_ends_both_processes(
    site: tuple["subprocess.Popen[str]", str], tmp_path: Path, database: Path
) -> None:
    process, url = site
    port = url.rsplit(":", 1)[1]
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    code, out, _ = finished("--check", "--db", database, "--port", port, home=tmp_path)
    assert code == 0
    assert str(database) in out

    database.write_bytes(b"no database " * 1000)
    code, _, err = finished("--check", "--db", database, "--port", port, home=tmp_path)
    assert code == 1
    assert "answers" in err
    assert str(database) in err

    code, _, err = finished("--db", database, "--no-browser", "--port", port, home=tmp_path)
    assert code == 2
    assert f"Port {port}" in err
    assert "--port" in err

    os.kill(process.pid, signal.SIGINT)  # to the one process alone: it has to end the other
    assert process.wait(PATIENCE_S) == 130
    with (
        pytest.raises(OSError, match="refused"),
        closing(socket.create_connection(("127.0.0.1", int(port)), timeout=5)),
    ):
        pass
    assert process.stderr is not None
    assert process.stderr.read().strip() == "interrupted"
    assert not (tmp_path / ".streamlit").exists()


def test_a_site_whose_command_was_killed_ends_too(site: tuple["subprocess.Popen[str]", str]) -> None:
    process, url = site
    process.kill()  # nothing of the command runs after this
    until = time.monotonic() + PATIENCE_S
    while answers(url):
        assert time.monotonic() < until, "the site goes on without its command"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S):
            return True
    except OSError:
        return False


def test_without_a_port_the_next_free_one_is_taken(tmp_path: Path, database: Path) -> None:
    from lukv_bench.bench.cli.site.place import FIRST_PORT, place_of

    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first = place_of("127.0.0.1", None, must_be_free=True).port
        other.bind(("127.0.0.1", first))
        other.listen()
        assert FIRST_PORT <= first < place_of("127.0.0.1", None, must_be_free=True).port


def test_nothing_answers_is_said_with_exit_code_1(tmp_path: Path, database: Path) -> None:
    code, out, err = finished("--check", "--db", database, "--port", free_port(), home=tmp_path)
    assert (code, out) == (1, "")
    assert "no leaderboard answers" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "203.0.113.1"], "--host 127.0.0.1"),
        (["--host", "no.such.host.invalid"], "--host 127.0.0.1"),
        (["--port", "0"], "1 to 65535"),
        (["--port", "70000"], "1 to 65535"),
        (["--port", "many"], "many"),
        (["--check", "--port", "9", "--host", "two words"], "no name or address of a machine"),
        (["--check", "--port", "9", "--host", "x" * 64], "no name or address of a machine"),
        (["--check", "--port", "9", "--host", "../.."], "no name or address of a machine"),
        (["--db", "mysql://x/y"], "PostgreSQL"),
        (["--db", "/"], "folder"),
    ],
)
def test_a_place_or_a_database_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, words: list[str], said: str
) -> None:
    code, out, err = finished(*words, "--no-browser", home=tmp_path)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
