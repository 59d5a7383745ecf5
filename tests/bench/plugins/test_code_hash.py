"""A plugin's code as a hash: it changes with the source, and with nothing else."""

import compileall
import importlib
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.plugins.code_hash import code_of, source_hash
from lukv_bench.scorers.keydiff import KeyDiff

FILES = {
    "methods/__init__.py": "",
    "methods/scorer.py": "from .deep import tables\nimport methods.helper\n\n\nclass Scorer:\n    x = tables.X\n",
    "methods/helper.py": "def late():\n    from .later import Y\n    return Y\n",
    "methods/later.py": "Y = 2\n",
    "methods/deep/__init__.py": "",
    "methods/deep/tables.py": "from os import path\nX = 1\n",
    "methods/unused.py": "Z = 3\n",
    "other/__init__.py": "W = 4\n",
}
Load = Callable[[Path], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """The class `methods.scorer.Scorer` from a folder or an archive, imported anew."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("methods", "other")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def do(place: Path) -> Any:
        forget()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(place))
            found = importlib.import_module("methods.scorer").Scorer
            found.hash, found.code = source_hash(found), code_of(found, "1.0")
        return found

    yield do
    forget()


def write(folder: Path, changed: dict[str, str] | None = None) -> Path:
    for name, text in (FILES | (changed or {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("methods/scorer.py", True),
        ("methods/deep/tables.py", True),
        ("methods/helper.py", True),
        ("methods/later.py", True),
        ("methods/unused.py", False),
        ("other/__init__.py", False),
    ],
)
def test_it_changes_with_what_the_module_imports_of_its_own_package(
    tmp_path: Path, load: Load, name: str, counts: bool
) -> None:
    before = load(write(tmp_path / "before")).hash
    after = load(write(tmp_path / "after", {name: FILES[name] + "# edited\n"})).hash
    assert len(before) == 16
    assert (before != after) == counts


def test_path_line_endings_bytecode_and_an_archive_change_nothing(tmp_path: Path, load: Load) -> None:
    expected = load(write(tmp_path / "here")).hash
    windows = {name: text.replace("\n", "\r\n") for name, text in FILES.items()}
    assert load(write(tmp_path / "windows", windows)).hash == expected
    compiled = write(tmp_path / "compiled")
    compileall.compile_dir(compiled, quiet=1)
    assert load(compiled).hash == expected
    with zipfile.ZipFile(tmp_path / "methods.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    assert load(tmp_path / "methods.zip").hash == expected


def test_a_plugin_without_source_is_told_apart_by_its_version_and_says_so(tmp_path: Path, load: Load) -> None:
    folder = write(tmp_path / "bare")
    compileall.compile_dir(folder, quiet=1, legacy=True)
    for name in FILES:
        (folder / name).unlink()
    assert load(folder).code == "no source, version 1.0"


def test_modules_that_are_not_imported_stay_so_and_may_be_broken(tmp_path: Path, load: Load) -> None:
    files = {
        "methods/helper.py": "def late():\n    from .side.effect import X\n    from .future import Y\n",
        "methods/side/__init__.py": "raise RuntimeError('only with a licence')\n",
        "methods/side/effect.py": "X = 1\n",
        "methods/future.py": "def of python4:\n",
    }
    found = load(write(tmp_path / "a", files))
    assert found.hash is not None
    assert "methods.side" not in sys.modules
    assert load(write(tmp_path / "b", files | {"methods/side/effect.py": "X = 2\n"})).hash != found.hash
    assert load(write(tmp_path / "c", files | {"methods/future.py": "def of python5:\n"})).hash != found.hash


def test_our_own_plugins_have_none(tmp_path: Path) -> None:
    assert code_of(KeyDiff, "0.1") == ""
