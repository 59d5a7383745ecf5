"""A clean environment: this package as users install it, nothing else that registers plugins."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
LEFT_OUT = (".[!s]*", "tests", "docs", "build", "dist", "*.egg-info", "__pycache__")
"""Of a checkout. Of what is hidden, `.streamlit` belongs to the package."""


@dataclass(frozen=True)
class Site:
    """A virtual environment; the libraries that the package depends on are those of the tests' own."""

    folder: Path

    def call(self, *command: object) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs in the working folder of the test."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env |= {
            "PATH": path,
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, env=env)

    def pip(self, *arguments: object) -> str:
        """Run pip for it; nothing is built in an environment of its own, so that nothing is fetched for that."""
        ended = self.call(self.folder / "bin" / "python", "-m", "pip", *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def install(self, source: Path, scratch: Path) -> None:
        """Install a package of the repository from a copy, since building leaves traces."""
        copy = shutil.copytree(source, scratch / source.name, ignore=shutil.ignore_patterns(*LEFT_OUT[3:]))
        self.pip("install", "--quiet", "--no-deps", copy)

    def lukv_bench(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """The installed command line."""
        return self.call(self.folder / "bin" / "lukv-bench", *arguments)

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
def make_site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Site]:
    """Makes a clean environment. Editable installs of the tests' own environment are not seen in it."""

    def make() -> Site:
        folder = tmp_path_factory.mktemp("site")
        venv.create(folder, symlinks=True)
        packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (inside,) = folder.glob("lib/python*/site-packages")
        (inside / "dependencies.pth").write_text("\n".join(packages) + "\n")
        site = Site(folder)
        site.pip("install", "--quiet", "--no-deps", "--ignore-installed", wheel)
        return site

    return make


@pytest.fixture(scope="module")
def site(make_site: Callable[[], Site]) -> Site:
    """One for the tests of a file."""
    return make_site()
