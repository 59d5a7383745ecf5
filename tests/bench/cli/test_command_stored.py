"""The command that stands in the store holds no password, and is otherwise what was typed."""

from collections.abc import Sequence

import pytest
from sqlalchemy import make_url

from lukv_bench.bench.cli.run import _without_password
from lukv_bench.db.urls import describe

SECRET = "postgresql://me:s3cret@host/results?sslpassword=s3cret"
SHOWN = "postgresql://me:***@host/results?sslpassword=***"


@pytest.mark.parametrize(
    ("db", "typed", "stored"),
    [
        (SECRET, ["run", "--db", SECRET, "--limit", "3"], ["run", "--db", SHOWN, "--limit", "3"]),
        (SECRET, ["run", f"--db={SECRET}", "--limit=3"], ["run", f"--db={SHOWN}", "--limit=3"]),
        (
            SECRET,
            ["run", "--db=postgresql://me:s3cret@other/r", "--db", SECRET],
            ["run", f"--db={SHOWN}", "--db", SHOWN],
        ),
        (None, ["run", "--limit", "3"], ["run", "--limit", "3"]),
    ],
)
def test_passwords_behind_db_are_hidden(db: str | None, typed: Sequence[str], stored: Sequence[str]) -> None:
    shown = describe(make_url(SECRET))
    told = _without_password(list(typed), db, shown)
    assert told == stored
    assert "s3cret" not in " ".join(told)


def test_words_that_end_as_the_database_does_stay_as_typed() -> None:
    typed = ["run", "--scorer", "d", "--tasks=niah_d", "--model", "d", "--db", "d"]
    assert _without_password(typed, "d", "/there/d") == [*typed[:-1], "/there/d"]
