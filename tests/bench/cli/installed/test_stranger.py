"""A stranger's package beside the installed one, in a clean environment; test_tutorial.py has its uninstall, too."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[3]
RUN = ("--tasks", "niah_single_1", "--length", "360", "--limit", "2", "--ratio", "0.5", "--db", "out.db")
PROGRESS = re.compile(r"\[ *\d+s\] ")
METHOD = ("--allocator", "headshare", "--scorer", "lastlook")


def sentences(stderr: str) -> list[str]:
    """What stands on stderr besides progress."""
    return [line for line in stderr.splitlines() if not PROGRESS.match(line)]


@pytest.fixture(scope="module")
def with_stranger(site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site.install(TESTS / "plugin_package", tmp_path_factory.mktemp("good"))
    yield site
    site.pip("uninstall", "--quiet", "--yes", "lukv-bench-stranger")


def test_what_ships_is_the_package_alone(site: Any) -> None:
    for kind, some in (("allocators", {"lukv", "uniform"}), ("scorers", {"keydiff"})):
        listed = {row["name"]: row for row in json.loads(site.program("list", kind, "--json").stdout)}
        assert some <= listed.keys()
        for row in listed.values():
            assert row["broken"] is None
            assert row["origin"].startswith("lukv-bench ")


def test_its_plugins_are_listed_with_where_they_come_from(with_stranger: Any) -> None:
    row = with_stranger.listed("allocators")["headshare"]
    assert row["broken"] is None
    assert row["summary"].startswith("Gives each head the share")
    assert row["origin"] == "lukv-bench-stranger 1.2.3 (stranger.headshare:HeadShare)"
    assert {argument["name"]: argument["default"] for argument in row["arguments"]} == {"profile": "", "flatten": 0.1}
    plain = with_stranger.lukv_bench("list", "scorers").stdout
    assert "lastlook" in plain
    assert "lukv-bench-stranger 1.2.3" in plain


def test_both_run_by_name_with_a_profile_made_and_cached(with_stranger: Any, roomy: Path, home: Path) -> None:
    """The allocator's own `fit` is called once; the second run finds its profile and every answer."""
    command = ("run", "--model", roomy, *RUN, *METHOD)
    rows = {row["allocator"]: row for row in with_stranger.rows(*command)}
    assert set(rows) == {"full", "uniform", "headshare"}
    for row in rows.values():
        assert (row["status"], row["n"], row["error"]) == ("complete", 2, None)
    assert rows["headshare"]["scorer"] == "lastlook"
    assert rows["headshare"]["kv_bytes_kept"] == rows["uniform"]["kv_bytes_kept"] < rows["full"]["kv_bytes_kept"]
    (profile,) = (home / "cache" / "profiles").glob("headshare-lastlook-*.safetensors")
    made = profile.stat().st_mtime_ns
    again = with_stranger.program(*command)
    assert again.returncode == 0, again.stderr
    assert "0 new answers" in again.stderr
    assert profile.stat().st_mtime_ns == made


def test_its_arguments_and_the_built_in_methods_combine_with_it(with_stranger: Any, tiny: Path) -> None:
    command = ("run", "--model", tiny, *RUN, "--no-baselines", "--allocator", "uniform")
    (row,) = with_stranger.rows(*command, "--scorer", "lastlook:temperature=2.0")
    assert (row["status"], row["scorer"], row["scorer_args"]) == ("complete", "lastlook", {"temperature": 2.0})
    wrong = with_stranger.lukv_bench(*command, "--scorer", "lastlook:temprature=2")
    assert wrong.returncode == 2
    assert sentences(wrong.stderr) == [
        "lukv-bench: unknown argument of the scorer 'lastlook' 'temprature': did you mean 'temperature'?"
    ]


def test_a_package_that_breaks_on_import_is_listed_with_the_reason_and_harms_nothing_else(
    with_stranger: Any, tiny: Path, tmp_path: Path
) -> None:
    with_stranger.install(TESTS / "broken_package", tmp_path)
    try:
        listed = with_stranger.listed("allocators")
        assert "libhapless.so.3: cannot open shared object file" in listed.pop("hapless")["broken"]
        assert all(row["broken"] is None for row in listed.values())
        assert "libhapless.so.3" in with_stranger.lukv_bench("list", "allocators").stdout
        command = ("run", "--model", tiny, *RUN, "--no-baselines", "--scorer", "lastlook")
        asked = with_stranger.lukv_bench(*command, "--allocator", "hapless")
        assert asked.returncode == 2
        assert "hapless" in asked.stderr
        assert "libhapless.so.3" in asked.stderr
        (row,) = with_stranger.rows(*command, "--allocator", "uniform")
        assert row["status"] == "complete"
    finally:
        with_stranger.pip("uninstall", "--quiet", "--yes", "lukv-bench-broken")
