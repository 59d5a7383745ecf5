"""Rows in the originals' formats, and the recordings that lie outside the repository."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.tasks.load import LoadedTask, load_task

Rows = Sequence[Mapping[str, Any]]
Load = Callable[..., LoadedTask]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Rows], Path]:
    """Writes rows as NAME.jsonl and gives the folder."""

    def write(name: str, rows: Rows) -> Path:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture(scope="session")
def load() -> Load:
    """load_task without length; keywords override."""

    def load(name: str, **asked: object) -> LoadedTask:
        given = {
            "length": None,
            "seed": 0,
            "limit": 500,
            "count_prompt": lambda user_text, answer_prefix: 0,
            "essay_archive": lambda: pytest.fail("no essays are needed"),
        }
        return load_task(name, **(given | asked))  # type: ignore[arg-type]

    return load


def thudm_row(**fields: object) -> dict[str, object]:
    """A row of LongBench as published; keywords override."""
    row: dict[str, object] = {
        "input": "Who?",
        "context": "Someone.",
        "answers": ["Someone"],
        "length": 3,
        "dataset": "hotpotqa",
        "language": "en",
        "all_classes": None,
        "_id": "0a",
    }
    return row | fields


@pytest.fixture(scope="session")
def row() -> Callable[..., dict[str, object]]:
    """Makes a row of LongBench."""
    return thudm_row
