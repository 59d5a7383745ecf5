"""Distributions of strangers, installed for one test."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A folder of installed distributions; call it to install one."""
    folder = home / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a command that writes nothing leaves the home as it was
    modules: list[str] = []

    def install(name: str, source: str, **groups: dict[str, str]) -> None:
        (folder / f"{name}.py").write_text(source)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = []
        for group, points in groups.items():
            lines += [f"[lukv_bench.{group}]", *(f"{point} = {name}:{where}" for point, where in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        modules.append(name)

    yield install
    for name in modules:
        sys.modules.pop(name, None)
