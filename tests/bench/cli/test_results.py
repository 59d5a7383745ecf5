"""What `results` shows: columns, types, nulls, budgets and bytes that add up; the same on every machine."""

import csv
import io
import json
import sqlite3
from fractions import Fraction
from math import floor, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from safetensors.torch import load_file

from lukv_bench.db.arrays import unpack_arrays

SHORT = ("--tasks", "niah_single_1", "--length", "360")

L, H, D, ITEMSIZE = 2, 2, 16, 4
LIMIT = 3
TEXTS = ("cell", "configuration", "model", "task", "protocol", "allocator", "status")
COLUMNS = (
    *("cell", "configuration", "model", "task", "length", "protocol", "allocator", "scorer", "ratio", "keep_tokens"),
    *("n", "score", "stderr", "status", "kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept"),
    *("ttft_s", "tpot_s"),
)
NEVER_BEYOND = 10**6

ALLOCATIONS = "JOIN answer_allocation ON answer_id = a.id JOIN allocation c ON c.id = allocation_id"


@pytest.fixture(scope="module")
def database(slow: Path, slow_profile: Path, lukv_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two ratios; tokens per head; more of them than there are; and the question in sight."""
    path = tmp_path_factory.mktemp("results") / "out.db"
    base = [
        "run",
        "--model",
        slow,
        *SHORT,
        "--db",
        path,
        "--allocator",
        f"lukv:profile={slow_profile}",
        "--batch",
        "1",  # takes seconds
    ]
    for more in (
        ["--ratio", "0.8", "--ratio", "0.35", "--limit", LIMIT],
        ["--keep-tokens", "41", "--limit", "1"],
        ["--keep-tokens", NEVER_BEYOND, "--limit", "1"],
        ["--protocol", "aware", "--ratio", "0.5", "--limit", "1", "--sink", "0", "--window", "9"],
    ):
        ended = lukv_bench(*base, *more)
        assert ended.code == 0, ended.err
    return path


@pytest.fixture(scope="module")
def rows(database: Path, lukv_bench: Any) -> list[dict[str, Any]]:
    ended = lukv_bench("results", "--db", database, "--json")
    assert (ended.code, ended.err) == (0, "")
    return ended.rows


def pick(rows: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert found
    return found


def query(database: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


def context_lengths(database: Path, cell: str) -> list[int]:
    sql = "SELECT n_context_tokens FROM answer WHERE cell_id = ? ORDER BY id"
    return [length for (length,) in query(database, sql, cell)]


def test_a_row_per_cell_with_every_column_the_issue_names(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == (1 + 2 * 2) + 2 + 2 + (1 + 2)
    assert len({row["cell"] for row in rows}) == len(rows)
    for row in rows:
        assert set(COLUMNS) <= set(row)
        assert tuple(row)[: len(COLUMNS)] == COLUMNS


def test_columns_have_their_types(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert all(isinstance(row[name], str) for name in TEXTS)
        assert len(row["cell"]) == len(row["configuration"]) == 64
        assert type(row["length"]) is type(row["n"]) is int
        for name in ("score", "kv_tokens_full", "kv_tokens_kept", "kv_bytes_full", "kv_bytes_kept", "ttft_s", "tpot_s"):
            assert type(row[name]) is float, name
        assert 0 <= row["score"] <= 100
        assert row["task"] == "niah_single_1"
        assert row["length"] == 360
        assert row["status"] == "complete"


def test_full_has_no_scorer_and_prunes_nothing(rows: list[dict[str, Any]]) -> None:
    for row in pick(rows, allocator="full"):
        assert (row["scorer"], row["ratio"], row["keep_tokens"]) == (None, 0.0, None)
        assert row["kv_tokens_kept"] == row["kv_tokens_full"]
        assert row["kv_bytes_kept"] == row["kv_bytes_full"]


def test_the_full_cache_is_one_cell_whatever_the_budgets(rows: list[dict[str, Any]]) -> None:
    assert len(pick(rows, allocator="full", protocol="agnostic")) == 1


def test_a_budget_in_tokens_has_no_ratio(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert (row["ratio"] is None) == (row["keep_tokens"] is not None)
    assert {row["keep_tokens"] for row in rows} == {None, 41, NEVER_BEYOND}


def test_allocators_evict_to_the_same_exact_budget(rows: list[dict[str, Any]], database: Path) -> None:
    for ratio, exact in ((0.8, Fraction(1, 5)), (0.35, Fraction(65, 100)), (0.5, Fraction(1, 2))):
        for row in pick(rows, ratio=ratio):
            lengths = context_lengths(database, row["cell"])
            assert row["kv_tokens_kept"] == mean(L * H * floor(exact * length) for length in lengths)
            assert row["kv_tokens_full"] == mean(L * H * length for length in lengths)
            assert row["allocator"] in ("uniform", "lukv")
    for row in pick(rows, keep_tokens=41):
        assert row["kv_tokens_kept"] == L * H * 41


def test_bytes_are_slots_times_key_and_value(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["kv_bytes_kept"] == row["kv_tokens_kept"] * 2 * D * ITEMSIZE
        assert row["kv_bytes_full"] == row["kv_tokens_full"] * 2 * D * ITEMSIZE


def test_slots_are_of_the_context_alone(rows: list[dict[str, Any]], database: Path) -> None:
    """Question and answer are never counted: together with them the prompt would fill the length."""
    for row in pick(rows, protocol="agnostic", allocator="full"):
        sql = "SELECT n_context_tokens, n_question_tokens FROM answer WHERE cell_id = ?"
        for context, question in query(database, sql, row["cell"]):
            assert 20 < question < 80
            assert 360 - 128 - 40 < context + question <= 360 - 128
    for row in pick(rows, protocol="aware"):
        sql = "SELECT n_question_tokens FROM answer WHERE cell_id = ?"
        assert query(database, sql, row["cell"]) == [(1,)]


def test_keep_counts_of_every_answer_add_up(database: Path) -> None:
    sql = f"SELECT a.kv_tokens_kept, a.n_context_tokens, c.counts FROM answer a {ALLOCATIONS}"
    found = query(database, sql)
    assert len(found) == query(database, "SELECT count(*) FROM answer")[0][0]
    for kept, context, counts in found:
        layers = json.loads(counts)
        assert [len(heads) for heads in layers] == [H] * L
        assert sum(map(sum, layers)) == kept
        assert max(map(max, layers)) <= context


def test_lukv_gives_heads_different_shares(rows: list[dict[str, Any]], database: Path) -> None:
    (row,) = pick(rows, allocator="lukv", ratio=0.8)
    sql = f"SELECT c.counts FROM answer a {ALLOCATIONS} WHERE a.cell_id = ?"
    for (counts,) in query(database, sql, row["cell"]):
        assert len({count for layer in json.loads(counts) for count in layer}) > 1


def test_more_tokens_asked_for_than_there_are_keeps_all_and_says_so(rows: list[dict[str, Any]], database: Path) -> None:
    for row in pick(rows, keep_tokens=NEVER_BEYOND):
        assert row["kv_tokens_kept"] == row["kv_tokens_full"]
        ((events,),) = query(database, "SELECT events FROM answer WHERE cell_id = ?", row["cell"])
        (event,) = json.loads(events)
        assert event["event"] == "kept_all"
        assert event["keep_tokens"] == NEVER_BEYOND
    for row in [*pick(rows, keep_tokens=41), *pick(rows, ratio=0.8)]:
        assert {
            events for (events,) in query(database, "SELECT events FROM answer WHERE cell_id = ?", row["cell"])
        } == {"[]"}


def test_score_and_stderr_are_those_of_the_answers(rows: list[dict[str, Any]], database: Path) -> None:
    for row in rows:
        sql = "SELECT score FROM answer WHERE cell_id = ? AND status = 'done'"
        scores = [100 * score for (score,) in query(database, sql, row["cell"])]
        assert len(scores) == row["n"]
        assert row["score"] == pytest.approx(mean(scores))
        if row["n"] == 1:
            assert row["stderr"] is None
        else:
            assert row["stderr"] == pytest.approx(stdev(scores) / sqrt(len(scores)))


def test_seconds_are_there_and_plausible(rows: list[dict[str, Any]], database: Path) -> None:
    for row in rows:
        assert 0 < row["tpot_s"] < row["ttft_s"]
    found = query(database, "SELECT kind, prefill_s, evict_s, ttft_s, tpot_s FROM timing")
    for kind, prefill_s, evict_s, ttft_s, tpot_s in found:
        assert kind == "indicative"
        assert min(prefill_s, evict_s, tpot_s) > 0
        assert ttft_s > prefill_s + evict_s


def test_csv_says_the_same_as_json(rows: list[dict[str, Any]], database: Path, lukv_bench: Any) -> None:
    ended = lukv_bench("results", "--db", database, "--csv")
    assert (ended.code, ended.err) == (0, "")
    table = list(csv.DictReader(io.StringIO(ended.out, newline="")))
    assert len(table) == len(rows)
    for line, row in zip(table, rows, strict=True):
        assert list(line) == list(row)
        for name in COLUMNS:
            assert line[name] == ("" if row[name] is None else str(row[name]))


def test_the_table_for_people_shows_every_cell(rows: list[dict[str, Any]], database: Path, lukv_bench: Any) -> None:
    ended = lukv_bench("results", "--db", database)
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if line.lstrip().startswith("niah_single_1")]
    assert len(lines) == len(rows)
    assert any("keep 41" in line for line in lines)
    markdown = lukv_bench("results", "--db", database, "--markdown").out
    assert markdown.count("| niah_single_1 |") == len(rows)


def test_results_leave_the_database_as_it_was(database: Path, lukv_bench: Any) -> None:
    before = query(database, "SELECT count(*) FROM run")
    lukv_bench("results", "--db", database, "--json")
    assert query(database, "SELECT count(*) FROM run") == before


def test_results_without_a_cell_are_an_empty_array_and_a_header(database: Path, lukv_bench: Any) -> None:
    assert lukv_bench("results", "--db", database, "--json", "--task", "niah_single_2").rows == []
    header = lukv_bench("results", "--db", database, "--csv", "--task", "niah_single_2").out
    assert header.strip().split(",")[: len(COLUMNS)] == list(COLUMNS)


def test_results_of_a_mistyped_task_are_no_empty_answer(database: Path, lukv_bench: Any) -> None:
    ended = lukv_bench("results", "--db", database, "--json", "--task", "niah_singel_1")
    assert ended.code == 2
    assert "did you mean 'niah_single_1'" in ended.err


def test_the_same_run_in_a_fresh_database_gives_the_same_ids_texts_and_scores(
    rows: list[dict[str, Any]], database: Path, slow: Path, lukv_bench: Any
) -> None:
    base = (
        "run",
        "--model",
        slow,
        *SHORT,
        "--limit",
        LIMIT,
        "--ratio",
        "0.35",
        "--db",
        "fresh.db",
    )
    ended = lukv_bench(*base, "--allocator", "uniform", "--json")
    assert len(ended.rows) == 2
    for row in ended.rows:
        (known,) = pick(rows, cell=row["cell"])
        same = (*COLUMNS[:18], "interval", "samples_asked", "label")
        assert {name: row[name] for name in same} == {name: known[name] for name in same}
        sql = "SELECT sample_id, text, stop_reason FROM answer WHERE cell_id = ? ORDER BY sample_id"
        texts = query(Path("fresh.db"), sql, row["cell"])
        assert len(texts) == LIMIT
        assert texts == query(database, sql, row["cell"])


def test_the_record_describes_its_methods_tasks_and_profiles(database: Path, slow_profile: Path) -> None:
    ((details, arguments),) = query(database, "SELECT details, arguments FROM method WHERE name = 'lukv'")
    assert "**Differs from the paper:**" in details
    assert all(argument["meaning"] for argument in json.loads(arguments))
    tasks = query(database, "SELECT name, family, metric FROM task WHERE summary <> '' AND source <> ''")
    assert {name for name, *_ in tasks} == {name for (name,) in query(database, "SELECT DISTINCT task FROM cell")}
    assert {family for _, family, _ in tasks} == {"ruler"}
    ((packed,),) = query(database, "SELECT arrays FROM profile")
    curve = load_file(slow_profile)["curve"]
    assert unpack_arrays(packed)["curve"] == pytest.approx(curve.numpy(), abs=1e-3)
    users = query(database, "SELECT configuration_id, role, plugin FROM configuration_profile")
    assert {role for _, role, _ in users} == {"allocator"}
    lukv = query(database, "SELECT id, 'allocator', 'lukv' FROM configuration WHERE allocator = 'lukv'")
    assert sorted(users) == sorted(lukv)
