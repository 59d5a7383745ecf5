"""The page that says which method to take, run without a browser."""

import lzma
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import lukv_bench as lb
from lukv_bench.db.example import PACKED

Visit = Callable[..., AppTest]
NEED = {"context": "1280", "memory": "30 MiB", "quality": "90%"}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that comes with lukv-bench."""
    path = tmp_path_factory.mktemp("shipped") / "example.db"
    path.write_bytes(lzma.decompress(PACKED.read_bytes()))
    return path


def changed(shipped: Path, path: Path, statement: str) -> Path:
    """A copy in which another program changed something."""
    path.write_bytes(shipped.read_bytes())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    return path


def said(site: AppTest) -> str:
    """Every word outside tables, without the marks of Markdown."""
    assert not site.exception, [error.message for error in site.exception]
    kinds = ("subheader", "markdown", "caption", "warning", "info")
    return " ".join(each.value for kind in kinds for each in getattr(site, kind)).replace("\\", "")


def test_the_page_and_the_command_line_give_the_same_candidates_in_the_same_order(shipped: Path, visit: Visit) -> None:
    rows = lb.read(shipped).recommend("smollm2-135m", 1280, "30MiB", "90%").to_dict("records")
    site = visit(shipped, "recommend", **NEED)
    (table,) = (each.value for each in site.dataframe)
    assert len(rows) > 100
    assert len({row["standing"] for row in rows}) > 1
    for title, name in {"Standing": "standing", "Budget": "budget", "Samples": "n_samples"}.items():
        assert list(table[title]) == [row[name] for row in rows]
    assert list(table["KV, MiB"] * 2**20) == [row["kv_bytes"] for row in rows]
    assert list(table["Quality, %"]) == pytest.approx([row["quality"] for row in rows])
    allocators = [row["method"].partition(" ")[0].partition(":")[0] for row in rows]
    assert [method.partition(" ")[0].partition(":")[0] for method in table["Method"]] == allocators
    best = rows[0]
    assert f"{best['method']}, {best['budget']} does so far" in said(site)
    words, typed = shlex.split(site.code[0].value), shlex.split(best["command"])
    assert words == [word for at, word in enumerate(typed) if "--db" not in typed[max(at - 1, 0) : at + 1]]


@pytest.mark.parametrize(
    ("need", "sentence", "has_command"),
    [
        (
            {"memory": "3MiB"},
            "Nothing that fits keeps 98% of the full cache's score: lukv x keydiff, prune 0.95",
            False,
        ),
        ({"memory": "1MiB"}, "Nothing in the database fits 1.00 MiB at 1280 tokens", False),
        ({"memory": "1KiB"}, "hold not one token of each head", False),
        ({"memory": "1"}, "The full cache fits: evict nothing.", False),
        ({"memory": ""}, "28.12 MiB hold 640 tokens a head: prune at least 50.0%", True),
        ({"memory": "1MiB", "context": "8192"}, "Nothing in the database fits", False),
        ({"memory": "180MiB", "context": "8192"}, "It is of shorter contexts than 8192 tokens", True),
    ],
)
def test_a_plain_answer(shipped: Path, visit: Visit, need: dict[str, str], sentence: str, has_command: bool) -> None:
    site = visit(shipped, "recommend", **need)
    assert sentence in said(site)
    assert bool(site.code) == has_command


@pytest.mark.parametrize(
    ("need", "sentence"),
    [
        ({"memory": "2TB"}, "Memory takes a size in GiB, MiB or KiB such as 2GiB"),
        ({"quality": "0.98"}, "Quality to keep takes percent"),
        ({"context": "9000"}, "9000 is no whole number from 1 to 8192"),
    ],
)
def test_what_makes_no_sense_is_said(shipped: Path, visit: Visit, need: dict[str, str], sentence: str) -> None:
    site = visit(shipped, "recommend", **need)
    assert any(sentence in each.value.replace("\\", "") for each in site.warning)
    assert bool(site.dataframe) == ("context" in need)


def test_filters_of_methods_hide_rows_and_change_no_standing(shipped: Path, visit: Visit) -> None:
    whole = visit(shipped, "recommend", **NEED).dataframe[0].value
    site = visit(shipped, "recommend", scorer="snapkv", **NEED)
    shown = site.dataframe[0].value
    of_snapkv = whole[whole["Method"].str.contains("snapkv")]
    assert 0 < len(shown) == len(of_snapkv) < len(whole)
    assert list(shown["Standing"]) == list(of_snapkv["Standing"])
    assert "snapkv" in site.markdown[1].value
    assert f"{len(whole) - len(shown)} more that fit are hidden by the filters" in said(site)
    none = visit(shipped, "recommend", budget="prune 0.25", context="1280", memory="3MiB")
    assert "The filters hide all 26 that fit" in said(none)


def test_without_a_full_cache_nothing_is_held_against_it(shipped: Path, visit: Visit, tmp_path: Path) -> None:
    without = "UPDATE configuration SET allocator = 'other' WHERE allocator = 'full'"
    assert "beside those of the full cache" in said(visit(changed(shipped, tmp_path / "a.db", without), "recommend"))


def test_sizes_that_do_not_fit_the_answers_are_not_used(shipped: Path, visit: Visit, tmp_path: Path) -> None:
    more = "UPDATE model SET n_layers = 31"
    site = visit(changed(shipped, tmp_path / "b.db", more), "recommend", **NEED)
    assert "bytes less than its keys and values take" in said(site)
    assert not site.dataframe


def test_a_record_that_does_not_say_its_windows_tells_what_is_assumed(
    shipped: Path, visit: Visit, tmp_path: Path
) -> None:
    older = """UPDATE model SET n_layers = 5, details = '{"n_layers": 30, "evicted_layers": [5, 11, 17, 23, 29]}'"""
    site = visit(changed(shipped, tmp_path / "c.db", older), "recommend", **NEED)
    assert "do not say how large the model's sliding windows are" in said(site)
