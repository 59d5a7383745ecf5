"""`--schedule`: an axis of the grid, part of a configuration, shown where rows differ in it."""

import json
from pathlib import Path
from typing import Any

TASK = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--db", "out.db")
PLAIN = (*TASK, "--allocator", "uniform", "--scorer", "knorm", "--ratio", "0.5")

GRID = """
allocator: uniform
scorer: [knorm, h2o]
ratio: 0.5
schedule: [block:64, one-shot]
exclude: {scorer: h2o, schedule: block:64}
include: {allocator: uniform, scorer: knorm, ratio: 0.25, schedule: block:32}
"""


def test_block_and_one_shot_are_two_configurations_of_one_run(lukv_bench: Any, tiny: Path) -> None:
    before = lukv_bench("run", "--model", tiny, *PLAIN, "--json")
    assert before.code == 0, before.err
    once = {row["configuration"] for row in before.rows}
    ended = lukv_bench("run", "--model", tiny, *PLAIN, "--schedule", "block:64,one-shot", "--json")
    assert ended.code == 0, ended.err
    assert "1 new answers" in ended.err  # the ids of what was there are what they were
    rows = {(row["allocator"], row["spec"]["schedule"]): row for row in ended.rows}
    assert set(rows) == {("full", "one-shot"), ("uniform", "one-shot"), ("uniform", "block:64")}
    assert once < {row["configuration"] for row in rows.values()}
    row, other = rows["uniform", "block:64"], rows["uniform", "one-shot"]
    assert row["spec"] == other["spec"] | {"schedule": "block:64"}
    assert row["label"] == "uniform x knorm @ 0.5, block:64"
    assert (row["kv_bytes_kept"], row["kv_bytes_full"]) == (other["kv_bytes_kept"], other["kv_bytes_full"])
    table = lukv_bench("results", "--db", "out.db").out
    assert "schedule" in table
    assert "block:64" in table
    answers = lukv_bench("results", "--db", "out.db", "--answers").out
    assert "uniform x knorm, block:64, prune 0.5" in answers
    assert "uniform x knorm, prune 0.5" in answers
    again = lukv_bench("run", "--model", tiny, *PLAIN, "--schedule", "block:64", "--batch", "1", "--redo", "--json")
    (timed,) = (one for one in again.rows if one["configuration"] == row["configuration"])
    assert timed["ttft_s"] > timed["prefill_s"] > 0


def test_a_grid_in_a_file_has_schedules_and_a_dry_run_counts_their_prefills(lukv_bench: Any, tiny: Path) -> None:
    Path("sweep.yaml").write_text(GRID)
    ended = lukv_bench("run", "--model", tiny, *TASK, "--config", "sweep.yaml", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    (row,) = json.loads(ended.out)
    # full, uniform with knorm by both, with h2o one-shot, and what is included
    assert (row["n_answers"], row["kv_bytes"] > 0) == (5, True)
    alone = lukv_bench(
        *("run", "--model", tiny, *PLAIN, "--schedule", "block:64", "--no-baselines", "--dry-run", "--json"),
    )
    assert 0 < alone.rows[0]["kv_bytes"] < row["kv_bytes"]


def test_an_eviction_can_be_inspected_in_blocks(lukv_bench: Any, tiny: Path) -> None:
    Path("text.txt").write_text("The keeper wrote that the lamp was lit. " * 12)
    base = ("inspect", "--model", tiny, "--context", "text.txt", "--allocator", "uniform", "--keep-tokens", "24")
    shown = [lukv_bench(*base, "--schedule", schedule) for schedule in ("block:16", "one-shot")]
    assert [one.code for one in shown] == [0, 0], shown[0].err
    summaries = [one.out.splitlines()[0] for one in shown]
    assert summaries[0] == summaries[1]
    assert shown[0].out != shown[1].out
