"""Reads the task definitions without lm-eval, which takes seconds to import."""

import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent

Definition = dict[str, Any]


OWN = ROOT / "own"
"""Definitions of tasks that exist once a user names documents; they are not listed."""


@cache
def definition_files() -> dict[str, Path]:
    """Task name -> YAML file, in the order of the paths. A leading underscore marks a shared part."""
    return {name: path for name, path in _all_files().items() if path.parent != OWN}


def definition_file(name: str) -> Path | None:
    """The YAML file of a definition, listed or not; None if there is none."""
    return _all_files().get(name)


@cache
def _all_files() -> dict[str, Path]:
    paths = sorted(ROOT.rglob("*.yaml"), key=_with_numbers)
    return {path.stem: path for path in paths if not path.name.startswith("_")}


def _with_numbers(path: Path) -> list[tuple[int, str]]:
    """Sorts 20 before 100."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


def read_definition(path: Path) -> Definition:
    """A definition merged with the files that it includes; its own keys take precedence.

    Differs from lm-eval: `metadata` is merged key by key, so that a task states only what is its own;
    load.py hands the merged metadata back to lm-eval.
    """
    own = _parsed(path)
    shared = read_definition(path.parent / own["include"]) if "include" in own else {}
    metadata = shared.get("metadata", {}) | own.get("metadata", {})
    return {key: value for key, value in (shared | own).items() if key != "include"} | {"metadata": metadata}


@cache
def _parsed(path: Path) -> Definition:
    """A file's content, cached, since the package's files do not change at runtime."""
    from .yaml_text import parse  # names are listed without PyYAML, which takes longer to import

    content: Definition = parse(path.read_text(encoding="utf-8"))
    return content
