"""The example results that come with lukv-bench."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lukv_bench import UserError
from lukv_bench.db import example
from lukv_bench.db.comparable import comparable
from lukv_bench.db.reader import Reader
from lukv_bench.db.results import read_results
from lukv_bench.db.urls import resolve_url


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    example.example_file.cache_clear()
    yield tmp_path / "cache"
    example.example_file.cache_clear()


def test_every_allocator_with_four_scorers_at_six_budgets_is_complete() -> None:
    with Reader.open(resolve_url(str(example.example_file()))) as reader:
        rows = read_results(reader)
    ((_, group),) = comparable(rows)
    assert {row["status"] for row in rows} == {"complete"}
    assert len(group) == len(rows)
    tasks = {row["task"] for row in rows}
    assert tasks == {"niah_single_1", "niah_multikey_1"}
    added = {("uniform", "streaming_llm"), ("uniform", "random")} | {
        (row["allocator"], row["scorer"]) for row in rows if row["is_oracle"]
    }
    cells = [(row["allocator"], row["scorer"], row["ratio"], row["task"]) for row in rows if row["allocator"] != "full"]
    mixes = [cell for cell in cells if cell[:2] not in added]
    allocators, scorers, ratios, _ = (set(values) for values in zip(*mixes, strict=True))
    assert allocators == {"uniform", "pyramidkv", "adakv", "global", "lukv", "shuffled"}
    assert scorers == {"keydiff", "snapkv", "knorm", "expected_attention"}
    assert ratios == {0.25, 0.5, 0.75, 0.8, 0.9, 0.95}
    assert len(set(mixes)) == len(mixes) == len(allocators) * len(scorers) * len(ratios) * len(tasks)
    assert len(added) == 2 + 2 + len(scorers), "floors, the oracle scorer, the oracle allocation of every scorer"
    assert len(cells) == len(mixes) + len(added) * len(ratios) * len(tasks)
    assert min(row["n"] for row in rows) >= 12
    assert min(row["score"] for row in rows if row["allocator"] == "full") >= 30
    assert all(row["n_fidelity"] == row["n_evidence"] == row["n"] for row in rows)


def test_it_stands_in_until_there_are_results_of_ones_own(tmp_path: Path, cache: Path) -> None:
    url, is_example = example.shown_url(None)
    assert is_example
    assert Path(str(url.database)).parent == cache
    own = tmp_path / "data" / "lukv-bench" / "results.db"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"")
    url, is_example = example.shown_url(None)
    assert (Path(str(url.database)), is_example) == (own, False)
    assert example.shown_url("mine.db")[1] is False


def test_it_is_unpacked_elsewhere_where_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path / "a file" / "cache"))
    with Reader.open(resolve_url(str(example.example_file()))) as reader:
        assert read_results(reader)


def test_where_nothing_can_be_written_a_sentence_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path / "a file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a file"))
    with pytest.raises(UserError, match="LUKV_BENCH_CACHE"):
        example.example_file()
