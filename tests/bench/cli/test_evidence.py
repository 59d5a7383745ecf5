"""`run` stores what was kept of the answer's place and whether the answer was copied; `results` shows it."""

import json
from pathlib import Path
from typing import Any

import pytest

EVIDENCE = "SELECT n_tokens, kept_share, half_share, layer_shares, outcome, n_right_characters, n_characters"
OF_ALLOCATOR = (
    " FROM evidence JOIN answer ON answer.id = answer_id JOIN cell ON cell.id = cell_id JOIN configuration ON"
    " configuration.id = configuration_id WHERE allocator = '{}' ORDER BY answer.sample_id"
)


@pytest.fixture
def run(tiny: Path, lukv_bench: Any, home: Path) -> Any:
    def run(*arguments: object) -> None:
        ended = lukv_bench(
            *("run", "--model", tiny, "--tasks", "niah_single_1", "--length", "400", "--limit", "2"),
            *("--allocator", "uniform", "--scorer", "keydiff", "--ratio", "0.7", "--db", "out.db", *arguments),
        )
        assert ended.code == 0, ended.err

    return run


def test_every_answer_has_its_evidence(run: Any, query: Any) -> None:
    run("--evidence-layers")
    full = query(EVIDENCE + OF_ALLOCATOR.format("full"))
    evicted = query(EVIDENCE + OF_ALLOCATOR.format("uniform"))
    assert len(full) == len(evicted) == 2
    for (n_tokens, *shares), (n_same, share, half, layers, outcome, n_right, n) in zip(full, evicted, strict=True):
        assert n_tokens == n_same > 10
        assert shares[:2] == [1.0, 1.0]
        assert json.loads(shares[2]) == [1.0, 1.0]
        assert 0 < share < 1
        assert 0 <= half <= 1
        assert sum(json.loads(layers)) / 2 == pytest.approx(share)
        assert (outcome, n) == ("missed", 7), "a model of random weights copies nothing"
        assert 0 <= n_right < 4


def test_layers_are_stored_on_request_alone(run: Any, query: Any) -> None:
    run()
    assert {layers for (layers,) in query("SELECT layer_shares FROM evidence")} == {None}
    run("--schedule", "block:64")
    assert query("SELECT count(*), min(kept_share) > 0 FROM evidence") == [(6, 1)], "in blocks too"
    tokens = set(query("SELECT n_tokens FROM evidence"))
    run("--protocol", "aware")
    assert query("SELECT count(*), min(kept_share) > 0 FROM evidence") == [(10, 1)]
    assert set(query("SELECT n_tokens FROM evidence")) == tokens, "the context is the same, and the question is none"


def test_results_show_evidence_and_outcomes(run: Any, lukv_bench: Any) -> None:
    run("--no-baselines", "--evidence-layers")
    (row,) = lukv_bench("results", "--db", "out.db", "--json").rows
    assert 0 < row["evidence_kept_share"] < 1
    assert [row[name] for name in ("n_evidence", "n_found", "n_miscopied", "n_missed")] == [2, 0, 0, 2]
    shown = lukv_bench("results", "--db", "out.db").out
    assert "found/miscopied/missed" in shown
    assert "0/0/2" in shown
    answers = lukv_bench("results", "--db", "out.db", "--answers", "--json").rows
    assert sum(each["evidence_kept_share"] for each in answers) / 2 == pytest.approx(row["evidence_kept_share"])
    assert [(each["outcome"], len(each["evidence_layer_shares"])) for each in answers] == [("missed", 2)] * 2
    share = round(100 * answers[0]["evidence_kept_share"])
    assert f"(missed, evidence kept {share}%)" in lukv_bench("results", "--db", "out.db", "--answers").out


def test_a_middle_that_is_cut_out_says_what_it_took_of_the_evidence(
    tiny: Path, lukv_bench: Any, home: Path, query: Any
) -> None:
    text = "The lamp is lit. " * 30 + "The keeper is Ada Quill. " + "The lamp is lit. " * 30
    row = {"context": text, "input": "Who?", "answers": ["Ada Quill"], "length": 9, "all_classes": None, "_id": "x"}
    (home / "data").mkdir()
    (home / "data" / "hotpotqa.jsonl").write_text(json.dumps(row))
    command = ["run", "--model", tiny, "--tasks", "longbench_hotpotqa", "--data-dir", home / "data"]
    command += ["--allocator", "full", "--no-baselines", "--max-length", "200", "--db", "out.db"]
    assert lukv_bench(*command).code == 0
    ((events,),) = query("SELECT events FROM answer")
    (lost,) = [event for event in json.loads(events) if event["event"] == "evidence_truncated"]
    assert lost["n_cut"] == lost["n_tokens"] > 0
    assert query(EVIDENCE + " FROM evidence") == [(0, None, None, None, None, None, None)]


def test_a_task_that_marks_nothing_stores_nothing(tiny: Path, lukv_bench: Any, home: Path, query: Any) -> None:
    command = ["run", "--model", tiny, "--tasks", "fwe", "--length", "400", "--limit", "1", "--allocator", "full"]
    assert lukv_bench(*command, "--no-baselines", "--db", "out.db").code == 0
    assert query("SELECT count(*) FROM answer") == [(1,)]
    assert query("SELECT count(*) FROM evidence") == [(0,)]
    shown = lukv_bench("results", "--db", "out.db")
    assert "evidence" not in shown.out
