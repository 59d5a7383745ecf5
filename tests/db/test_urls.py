import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from lukv_bench import UserError
from lukv_bench.db.urls import describe, resolve_url, sqlite_path


def test_default_lies_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert sqlite_path(resolve_url(None)) == tmp_path / "lukv-bench" / "results.db"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("x.db", "{cwd}/x.db"),
        ("results", "{cwd}/results"),
        ("a b/ü?#%.db", "{cwd}/a b/ü?#%.db"),
        ("/abs/x.db", "/abs/x.db"),
        ("~/x.db", "{home}/x.db"),
        ("sqlite:///x.db", "{cwd}/x.db"),
        ("sqlite+pysqlite:////abs/x.db", "/abs/x.db"),
        ("sqlite:///~/x.db", "{home}/x.db"),
        ("C:x.db", "{cwd}/C:x.db"),
    ],
)
def test_files(text: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    url = resolve_url(text)
    assert url.get_backend_name() == "sqlite"
    assert str(sqlite_path(url)) == describe(url) == file.format(cwd=tmp_path, home=Path.home())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty; name a file"),
        ("  ", "is empty; name a file"),
        ("sqlite:x.db", "write sqlite:// in front"),
        ("postgresql:host/db", "write postgresql:// in front"),
        ("sqlite://", "in memory would be lost"),
        ("sqlite:///:memory:", "in memory would be lost"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory would be lost"),
        ("sqlite:///file:x.db?mode=ro&uri=true", "plain path"),
        ("sqlite://x.db", "lacks a slash"),
        ("sqlite+aiosqlite:///x.db", "asynchronous driver; write sqlite://"),
        ("postgre://u:secret@h/d", "did you mean postgresql://"),
        ("postgres://u:secret@h/d", "did you mean postgresql://"),
        ("mysql:u:secret@h/d", "no kind of database"),
        ("postgres:u:secret@h/d", "did you mean postgresql://"),
        ("potato://h/d", "no kind of database"),
        ("mysql://u:secret@h/d", "no kind of database .* write sqlite:///FILE or postgresql://"),
        ("mysql+pymysql://u:secret@h/d", "no kind of database"),
        ("mariadb://u:secret@h/d", "no kind of database"),
        ("oracle+oracledb://u:secret@h/d", "no kind of database"),
        ("mssql+pyodbc://u:secret@h/d", "no kind of database"),
        ("postgresql+nonsense://u:secret@h/d", "no driver that SQLAlchemy knows here; write postgresql://"),
        ("sqlite://x.db?password=secret", "lacks a slash"),
        ("postgresql://u:secret@h:port/d", "cannot be read"),
        ("://", "cannot be read"),
        ("~nobody-of-that-name/x.db", "home folder"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        resolve_url(text)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:s3cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=s3cret", "postgresql://h/d?password=***&user=u"),
        (
            "postgresql://u:s3cret@h/d?sslmode=require&sslpassword=s3cret&SSLPassword=s3cret",
            "postgresql://u:***@h/d?SSLPassword=***&sslmode=require&sslpassword=***",
        ),
        ("postgresql://h/d?password=s3cret&password=s3cret2", "postgresql://h/d?password=***"),
        ("postgresql://u@h/d?application_name=x", "postgresql://u@h/d?application_name=x"),
    ],
)
def test_passwords_are_shown_nowhere_in_a_url(text: str, shown: str) -> None:
    assert describe(make_url(text)) == shown


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(UserError, match="pip install 'psycopg2-binary'"):
        resolve_url("postgresql+psycopg2://u:secret@host/db")


def test_import_is_light() -> None:
    code = "import sys, lukv_bench.db.urls; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.split()
    assert not {"pandas", "numpy", "alembic", "scipy", "sqlalchemy.orm.session", "torch"} & set(modules)
