"""`run --dry-run`: what would be done and what it would take, with nothing answered and nothing stored."""

import json
from pathlib import Path
from typing import Any

import pytest

SHORT = ("--tasks", "niah_single_1", "--length", "360,420", "--ratio", "0.5", "--allocator", "adakv", "--db", "out.db")


def test_a_dry_run_makes_no_database_and_says_what_a_run_would_do(lukv_bench: Any, tiny: Path) -> None:
    ended = lukv_bench("run", "--model", tiny, *SHORT, "--limit", "2", "--dry-run")
    assert ended.code == 0, ended.err
    assert not Path("out.db").exists()
    assert "12 answers to give" in ended.out
    assert "Time: at most" in ended.out
    assert "measured now" in ended.out
    assert "Memory:" in ended.out


def test_what_is_done_is_counted_and_times_are_learned_from_it(lukv_bench: Any, tiny: Path) -> None:
    run = ("run", "--model", tiny, *SHORT)
    assert lukv_bench(*run, "--limit", "2").code == 0
    before = Path("out.db").read_bytes()
    (row,) = lukv_bench(*run, "--limit", "5", "--dry-run", "--json").rows
    assert Path("out.db").read_bytes() == before
    assert (row["n_answers"], row["n_done"]) == (30, 12)
    assert row["n_stored"] == 3  # of four samples, the first says nothing of when it began
    assert row["seconds"] > 0
    assert [(task["length"], task["n_cells"], task["n_done"]) for task in row["tasks"]] == [(360, 3, 6), (420, 3, 6)]
    assert row["kv_bytes"] > 0 < row["weight_bytes"]
    done = lukv_bench(*run, "--limit", "2", "--dry-run")
    assert "Everything is done." in done.out
    (again,) = lukv_bench(*run, "--limit", "2", "--dry-run", "--json", "--redo").rows
    assert (again["n_done"], again["seconds"] > 0) == (0, True)


def test_a_profile_is_not_made_and_is_announced(lukv_bench: Any, roomy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path.cwd().parent / "cache"
    ended = lukv_bench("run", "--model", roomy, *SHORT, "--allocator", "lukv", "--limit", "1", "--dry-run")
    assert ended.code == 0, ended.err
    assert "Not counted: the profile of" in ended.out
    assert not (cache / "profiles").exists()


def test_every_model_has_its_own_row(lukv_bench: Any, tiny: Path, other: Path) -> None:
    ended = lukv_bench("run", "--model", tiny, "--model", other, *SHORT, "--limit", "1", "--dry-run", "--json")
    assert [row["model"] for row in json.loads(ended.out)] == ["tiny", "other"]
