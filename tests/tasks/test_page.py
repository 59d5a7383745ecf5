"""docs/tasks.md says what the definitions say, and every check it names is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lukv_bench.tasks.catalog import names

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.split("\n") if line.startswith("| `")]


def test_the_tables_are_what_the_definitions_say() -> None:
    done = subprocess.run([sys.executable, "-P", "docs/tasks.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "stale: run `python docs/tasks.py`"


def test_every_task_has_its_row() -> None:
    assert sorted(row.split("`")[1] for row in ROWS) == sorted(names())
    assert len({row.count(" | ") for row in ROWS}) == 1


def test_every_difference_is_told_and_none_for_nothing() -> None:
    told = re.findall(r"^- ([A-Z]\d):", PAGE, re.MULTILINE)
    named = {code for row in ROWS for code in re.findall(r"\b[A-Z]\d\b", " | ".join(row.split(" | ")[-4:-1]))}
    assert len(told) == len(set(told))
    assert set(told) == named


def collected_tests(session: pytest.Session) -> list[str]:
    """The tests below tests/tasks: of this session, where it runs all of their files, else collected apart."""
    tests = [item.nodeid for item in session.items]
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests" / "tasks").rglob("test_*.py")}
    if files <= {test.partition("::")[0] for test in tests}:
        return tests
    asked = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/tasks"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.split("\n") if "::" in line]


def test_every_check_selects_tests(request: pytest.FixtureRequest) -> None:
    tests = collected_tests(request.session)
    for where, word in {re.findall(r"`pytest (\S+) -k (\S+)`", row)[0] for row in ROWS}:
        assert any(test.startswith(where) and word in test for test in tests), (where, word)
