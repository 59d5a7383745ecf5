"""A clean environment: this package as users install it, nothing else that registers plugins."""

import json
import os
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.cli.app import QUIET

ROOT = Path(__file__).resolve().parents[4]
LEFT_OUT = (".[!s]*", "tests", "docs", "build", "dist", "*.egg-info", "__pycache__")
"""Of a checkout. Of what is hidden, `.streamlit` belongs to the package."""
CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(fileno={descriptor})
words = [{program!r}, *sys.argv[1:]]
request = {{"arguments": words, "folder": os.getcwd(), "variables": dict(os.environ)}}
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
sys.exit(server.recv(1)[0])
"""


class Ready:
    """A program of an environment, run by a server that has imported the libraries once (`ready_server.py`)."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor, python = theirs.fileno(), program.with_name("python")
        command = [python, Path(__file__).with_name("ready_server.py"), str(descriptor)]
        self._server = subprocess.Popen(command, pass_fds=[descriptor], env=os.environ | QUIET)
        theirs.close()
        self.folder, self.descriptor = folder, self._ours.fileno()
        client = folder / program.name
        client.write_text(CLIENT.format(python=python, descriptor=self.descriptor, program=str(program)))
        client.chmod(0o755)

    def close(self) -> None:
        self._ours.close()
        self._server.wait(60)


@dataclass(frozen=True)
class Site:
    """A virtual environment; the libraries that the package depends on are those of the tests' own."""

    folder: Path
    ready: Ready

    def call(self, *command: object) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs in the working folder of the test; `lukv-bench` is the one with ready libraries."""
        folders = str(self.ready.folder), str(self.folder / "bin"), os.environ["PATH"]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env |= {
            "PATH": os.pathsep.join(folders),
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        words, passed = [*map(str, command)], [self.ready.descriptor]
        return subprocess.run(words, capture_output=True, text=True, timeout=600, env=env, pass_fds=passed)

    def pip(self, *arguments: object) -> str:
        """Run pip for it; nothing is built in an environment of its own, so that nothing is fetched for that."""
        ended = self.call(self.folder / "bin" / "python", "-m", "pip", *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def install(self, source: Path, scratch: Path) -> None:
        """Install a package of the repository from a copy, since building leaves traces."""
        copy = shutil.copytree(source, scratch / source.name, ignore=shutil.ignore_patterns(*LEFT_OUT[3:]))
        self.pip("install", "--quiet", "--no-deps", copy)

    def program(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """The installed command line, importing all it needs."""
        return self.call(self.folder / "bin" / "lukv-bench", *arguments)

    def lukv_bench(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """The installed command line with ready libraries."""
        return self.call("lukv-bench", *arguments)

    def rows(self, *arguments: object) -> list[dict[str, Any]]:
        """What a command that must end well prints as JSON."""
        ended = self.lukv_bench(*arguments, "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        rows = json.loads(ended.stdout)
        assert isinstance(rows, list)
        return rows

    def listed(self, kind: str) -> dict[str, dict[str, Any]]:
        """`lukv-bench list KIND` by name."""
        return {row["name"]: row for row in self.rows("list", kind)}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package as a wheel, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source")
    subprocess.run([sys.executable, "-m", "pip", *map(str, build)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def make_site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Site]]:
    """Makes a clean environment. Editable installs of the tests' own environment are not seen in it."""
    made: list[Site] = []

    def make() -> Site:
        folder = tmp_path_factory.mktemp("site")
        venv.create(folder, symlinks=True)
        packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (inside,) = folder.glob("lib/python*/site-packages")
        (inside / "dependencies.pth").write_text("\n".join(packages) + "\n")
        site = Site(folder, Ready(folder / "bin" / "lukv-bench", tmp_path_factory.mktemp("ready")))
        made.append(site)
        site.pip("install", "--quiet", "--no-deps", "--ignore-installed", wheel)
        return site

    yield make
    for site in made:
        site.ready.close()


@pytest.fixture(scope="session")
def site(make_site: Callable[[], Site]) -> Site:
    """One for all tests that remove what they install."""
    return make_site()
