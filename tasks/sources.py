"""The rows of a task's data: from a local folder, from the Hugging Face hub, or from a pinned address.

A local file is taken before anything is fetched. Nothing that is fetched is executed.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from .. import UserError
from .json_text import read_json
from .lazy import Lazy

_TIMEOUT_S = 60


class Rows(NamedTuple):
    """A file's rows in order, and the hash of its content. Reading a line that is no object raises UserError."""

    rows: Lazy[dict[str, Any]]
    data_revision: str


@dataclass(frozen=True)
class Source:
    """Where a task's data are published, pinned. A definition's metadata carries the fields."""

    file: str
    """The file's name inside the repository, or what it is called once downloaded."""
    repo: str | None = None
    """A data set on the hub; else `url`."""
    revision: str | None = None
    """A commit of `repo`."""
    url: str | None = None
    member: str | None = None
    """The member to read if the file is a zip archive."""
    sha256: str | None = None
    """Of the file as published."""

    @property
    def origin(self) -> str:
        """For messages: what is fetched, and from where."""
        return self.url or f"{self.repo} ({self.file}) on the Hugging Face hub"


def rows_of(task: str, data_dir: Path | None, local_names: Sequence[str], source: Source) -> Rows:
    """The rows of the first of these files (names without suffix) in `data_dir`, or of the source if there is none.

    A folder without any of them, a file that holds no JSON rows and a failed download are UserErrors.
    """
    if data_dir is None:
        return _read(fetch(task, source, local_names[0]), source.member)
    path = find_local(data_dir, local_names)
    if path is None:
        raise UserError(f"{task} finds no data in {data_dir}: put {local_names[0]}.jsonl (or .json) there.")
    return _read(path)


def find_local(data_dir: Path, local_names: Sequence[str]) -> Path | None:
    """The first of these files that is in the folder, as `.jsonl` or `.json`; no folder is a UserError."""
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a folder.")
    paths = (data_dir / f"{name}{suffix}" for name in local_names for suffix in (".jsonl", ".json"))
    return next((path for path in paths if path.is_file()), None)


def read_rows(path: Path) -> Rows:
    """The objects in a JSON Lines file, or in a JSON file that is a list or holds one under "data"."""
    return _read(path)


def fetch(task: str, source: Source, local_name: str) -> Path:
    """The published file on this machine, downloaded the first time into Hugging Face's cache folder.

    `local_name` is what the user may call a file of their own instead.
    """
    try:
        path = _from_hub(source) if source.url is None else _from_address(source)
    except Exception as error:  # the hub's client and its transports may raise anything
        raise UserError(
            f"{task} could not fetch {source.origin} ({_reason(error)}): check the network, or put "
            f"{local_name}{Path(source.member or source.file).suffix} into a folder and name it with --data-dir."
        ) from error
    if source.sha256 is not None and _sha256(path) != source.sha256:
        raise UserError(f"{task}: {source.origin} is not the file it was ({path} has another sha256 than expected).")
    return path


def _from_hub(source: Source) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(str(source.repo), source.file, repo_type="dataset", revision=source.revision))


def _from_address(source: Source) -> Path:
    from huggingface_hub.constants import HF_HOME, HF_HUB_OFFLINE

    folder = Path(HF_HOME) / "lukv-bench"
    path = folder / source.file
    if path.is_file() and _sha256(path) == source.sha256:
        return path
    if HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    with urlopen(source.url, timeout=_TIMEOUT_S) as answer:  # type: ignore[arg-type]
        content = answer.read()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        beside = Path(scratch) / path.name
        beside.write_bytes(content)  # a named temporary file would be readable only by its owner
        os.replace(beside, path)
    return path


def _read(path: Path, member: str | None = None) -> Rows:
    content = _content(path, member)
    name = str(path) if member is None else f"{path}, {member}"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text ({error}).") from error
    values = _lines(name, text) if Path(member or path).suffix == ".jsonl" else _whole(name, text)
    if not values.n:
        raise UserError(f"{name} holds no rows.")

    def row(index: int) -> dict[str, Any]:
        value = values[index]
        if not isinstance(value, dict):
            raise UserError(f"{name}, row {index + 1}: a JSON object is expected, not {json.dumps(value)[:40]}.")
        return value

    return Rows(Lazy(values.n, row), hashlib.sha256(content).hexdigest()[:16])


def _content(path: Path, member: str | None) -> bytes:
    try:
        if member is None:
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({_first_line(error)}).") from error


def _lines(name: str, text: str) -> Lazy[Any]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]

    def value(index: int) -> Any:
        number, line = lines[index]
        return read_json(f"{name}, line {number}", line)

    return Lazy(len(lines), value)


def _whole(name: str, text: str) -> Lazy[Any]:
    content = read_json(name, text)
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise UserError(f'{name}: a list of rows is expected, or an object that holds one under "data".')
    return Lazy(len(rows), rows.__getitem__)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """The message of the innermost error, which the hub's client wraps in advice of its own."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
