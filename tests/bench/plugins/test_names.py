"""Plugins by name: what pip installs or removes under a live process counts from the next question on."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lukv_bench import UserError
from lukv_bench.bench.plugins.contract import Kind
from lukv_bench.bench.plugins.names import check_name, origin_of, registered


@contextmanager
def a_second_later(folder: Path) -> Iterator[None]:
    """File systems count changes in ticks of some milliseconds: this one is a second after the last."""
    before = folder.stat().st_mtime_ns
    yield
    os.utime(folder, ns=(before + 10**9, before + 10**9))


def install(site: Path, version: str, kind: Kind, name: str) -> Path:
    """A distribution's metadata, as pip writes them."""
    info = site / f"lanterns-{version}.dist-info"
    with a_second_later(site):
        info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lanterns\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[lukv_bench.{kind}s]\n{name} = lanterns:Lantern\n")
    return info


def remove(info: Path) -> None:
    with a_second_later(info.parent):
        shutil.rmtree(info)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are imported from, and nothing in it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kind", ["allocator", "scorer"])
def test_a_package_that_comes_or_goes_in_a_live_process_is_noticed(site: Path, kind: Kind) -> None:
    built_in = registered(kind).keys()
    assert "lantern" not in built_in
    first = install(site, "1.0", kind, "lantern")
    assert registered(kind).keys() == built_in | {"lantern"}
    check_name(kind, "lantern:size=3")
    remove(first)
    assert registered(kind).keys() == built_in
    with pytest.raises(UserError, match=f"unknown {kind} 'lantern'"):
        check_name(kind, "lantern")


def test_another_version_of_a_package_is_noticed(site: Path) -> None:
    shown = []
    for version, name in (("1.0", "lantern"), ("1.1", "lamp")):
        info = install(site, version, "scorer", name)
        (point,) = registered("scorer")[name]
        shown.append(origin_of("scorer", name, point).origin)
        remove(info)
    assert shown == ["lanterns 1.0 (lanterns:Lantern)", "lanterns 1.1 (lanterns:Lantern)"]
    assert not {"lantern", "lamp"} & registered("scorer").keys()


def test_a_folder_that_joins_the_import_path_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "1.0", "scorer", "lantern")
    assert "lantern" not in registered("scorer")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert "lantern" in registered("scorer")
    assert "lantern" not in registered("scorer")
