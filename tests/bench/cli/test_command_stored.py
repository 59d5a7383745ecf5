"""The command that stands in the store holds no password and no folder, and is otherwise what was typed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import make_url

from lukv_bench.bench.api.recorded import recorded_command
from lukv_bench.db.urls import describe

SECRET = "postgresql://me:s3cret@host/results?sslpassword=s3cret"
SHOWN = "postgresql://me:***@host/results?sslpassword=***"


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (["run", "--db", SECRET, "--limit", "3"], ["run", "--db", SHOWN, "--limit", "3"]),
        (["run", f"--db={SECRET}", "--limit=3"], ["run", f"--db={SHOWN}", "--limit=3"]),
        (["run", "--db=postgresql://me:s3cret@other/r", "--db", SECRET], ["run", f"--db={SHOWN}", "--db", SHOWN]),
        (["run", "--limit", "3"], ["run", "--limit", "3"]),
    ],
)
def test_passwords_behind_db_are_hidden(typed: Sequence[str], stored: Sequence[str]) -> None:
    recorded = recorded_command(["lukv-bench", *typed], describe(make_url(SECRET)))
    assert recorded == ["lukv-bench", *stored]
    assert "s3cret" not in " ".join(recorded)


def test_words_that_end_as_the_database_does_stay_as_typed() -> None:
    typed = ["lukv-bench", "run", "--scorer", "d", "--tasks=niah_d", "--model", "d", "--db", "d"]
    assert recorded_command(typed, "/there/d") == typed


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("--model organisation/name", "--model organisation/name"),
        ("--model=deep/model --samples=~/s --data-dir .", "--model=model --samples=s --data-dir here"),
        ("--allocator lukv:profile=a/b/p.safetensors", "--allocator lukv:profile=p.safetensors"),
        ("--scorer=one:x=(two:file=/a/b.bin),k=../c.bin", "--scorer=one:x=(two:file=b.bin),k=c.bin"),
    ],
)
def test_paths_are_cut_down_to_the_files_own_names(
    typed: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "deep" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    command = ["/home/me/.venv/bin/lukv-bench", "run", *typed.split()]
    assert recorded_command(command, "/home/me/out.db") == ["lukv-bench", "run", *stored.split()]
