"""stdout holds one JSON array, whatever a plugin prints and however."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOISY = '''
import atexit
import ctypes
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import ClassVar

from lukv_bench.scorers.base import Protection, Reads


def shout(place):
    print("printed", place)
    sys.__stdout__.write(f"to the first stdout {place}\\n")
    os.write(1, f"to the descriptor {place}\\n".encode())
    ctypes.CDLL(None).printf(f"from C {place}\\n".encode())
    subprocess.run(["echo", "from a child", place])


def shout_on(stop=threading.Event()):
    while not stop.wait(0.01):
        os.write(1, b"from a thread\\n")


shout("at import")
atexit.register(shout, "at exit")
threading.Thread(target=shout_on, daemon=True).start()


@dataclass(frozen=True)
class Noisy:
    """Prints."""

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=2, window=2)

    def score(self, layer):
        shout("while it scores")
        return layer.keys.float().norm(dim=-1)
'''


WAYS = ("printed", "to the first stdout", "to the descriptor", "from C", "from a child")


@pytest.fixture
def noisy(site: Callable[..., None], home: Path, program: Callable[..., Any]) -> Callable[..., Any]:
    """The installed program beside a plugin that prints in every way."""
    site("noisy", NOISY, scorers={"noisy": "Noisy"})
    return lambda *arguments: program(*arguments, env={"PYTHONPATH": str(home / "site")})


def test_json_is_one_array_whatever_a_plugin_prints(noisy: Callable[..., Any], tiny: Path) -> None:
    base = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--ratio", "0.5", "--db", "out.db")
    ended = noisy("run", "--model", tiny, *base, "--allocator", "uniform", "--scorer", "noisy", "--json")
    assert ended.code == 0, ended.err
    assert [row["scorer"] for row in ended.rows] == [None, "noisy"]
    for way in WAYS:
        for place in ("at import", "while it scores", "at exit"):
            assert f"{way} {place}" in ended.err, f"{way} {place}"
    assert [row["name"] for row in noisy("list", "scorers", "--json").rows].count("noisy") == 1


def test_what_is_drawn_is_free_of_it_too(site: Callable[..., None], fork: Callable[..., Any], tiny: Path) -> None:
    site("noisy", NOISY, scorers={"noisy": "Noisy"})
    text = Path("text.txt")
    text.write_text("The keeper lit the lamp, and wrote it down. " * 30)
    process = fork("inspect", "--model", tiny, "--context", text, "--allocator", "uniform", "--scorer", "noisy")
    drawn, noise = process.communicate(timeout=120)
    assert process.returncode == 0, noise
    assert "tokens" in drawn
    for way in WAYS:
        assert f"{way} while it scores" in noise
        assert way not in drawn
