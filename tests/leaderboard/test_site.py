"""What every page has around it, run without a browser."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import lukv_bench.leaderboard.site

APP = Path(lukv_bench.leaderboard.site.__file__).with_name("app.py")


def test_a_database_that_is_not_there_is_a_page_that_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_SITE_DATABASE", str(tmp_path / "nothing.db"))
    site = AppTest.from_file(APP, default_timeout=60).run()
    assert [title.value for title in site.title] == ["No results yet"]
    assert "lukv-bench run" in site.code[0].value
    assert not site.exception
