"""What the documents show of the Python API, run as it stands there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import lukv_bench as lb

DOCS = Path(__file__).resolve().parents[3] / "docs"


def run(blocks: list[str]) -> dict[str, Any]:
    """The names that code blocks leave behind, one after the other in one namespace."""
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "<document>", "exec"), names)
    return names


def test_the_page_on_python_runs_and_its_first_lines_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "howto" / "python.md").read_text(encoding="utf-8")
    names = run(re.findall(r"^```python\n(.*?)^```", page, re.S | re.M))
    printed = capsys.readouterr().out
    assert "4816" in printed.splitlines()[0]
    cache, question, answer = names["cache"], names["question"], names["answer"]
    assert cache.log_likelihood(question, answer.format(4816)) > cache.log_likelihood(question, answer.format(7305))
    assert set(names["frame"]["status"]) == {"complete"}
    assert len(names["answers"]) == len(names["cells"]) == 5


def test_the_notebook_runs_and_holds_no_outputs(home: Path) -> None:
    notebook = json.loads((DOCS / "notebooks" / "first-eviction.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    names = run(["".join(cell["source"]) for cell in code])
    assert set(names["frame"]["status"]) == {"complete"}
    kept = {name: cache.kv_bytes for name, cache in names["evicted"].items()}
    assert kept["uniform"] == kept["adakv"] == kept["lukv"] < kept["full"] / 4
    assert isinstance(names["evicted"]["lukv"], lb.EvictedContext)
