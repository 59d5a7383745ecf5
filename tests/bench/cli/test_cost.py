"""`run --cost`: cells measured one by one, resumed, refused and shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lukv_bench as lb
from lukv_bench.bench.cost import session
from lukv_bench.bench.cost.child import carry_out
from lukv_bench.bench.cost.request import CostRequest, Failed, Gate, Measured, Step
from lukv_bench.bench.errors import Interrupted

COMMAND = ("--tasks", "niah_single_1", "--length", "360", "--ratio", "0.5", "--db", "out.db", "--cost")
SHORT = ("--repeats", "2", "--new-tokens", "4")


@pytest.fixture(autouse=True)
def own_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests of other workers do not wait for these, nor these for a measurement of the machine's user."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measures in this process, which has its libraries already; the labels of what was measured."""
    measured: list[str] = []

    def measure(request: CostRequest, report: Callable[[str], None]) -> Measured | Failed:
        measured.append(request.unit.configurations[0].method.label)
        return carry_out(request, lambda message: report(message.name) if isinstance(message, Step) else None)

    monkeypatch.setattr(session, "measure_in_process", measure)
    return measured


def test_a_cell_is_measured_in_a_process_of_its_own(lukv_bench: Any, tiny: Path, query: Any) -> None:
    ended = lukv_bench("run", "--model", tiny, "--allocator", "full", "--no-baselines", *COMMAND, *SHORT, "--json")
    assert ended.code == 0, ended.err
    (row,) = ended.rows
    assert (row["status"], row["allocator"], row["n_repeats"], row["n_new_tokens"]) == ("done", "full", 2, 4)
    assert len(row["repeats"]) == 2
    assert row["ttft_s"] > row["prefill_s"] > 0
    assert row["peak_bytes"] > row["model_bytes"] > 0
    assert row["footprint"] == 1
    assert row["clock"] == "monotonic clock"
    assert "full on niah_single_1 at 360: " in ended.err
    assert "1 new measurements; 1 are in" in ended.err
    assert query("SELECT COUNT(*) FROM cell") == [(0,)]
    assert query("SELECT status, exit_code FROM run") == [("finished", 0)]


def test_finished_rows_are_not_measured_again_and_are_shown(lukv_bench: Any, tiny: Path, here: list[str]) -> None:
    words = ("run", "--model", tiny, "--allocator", "uniform", *COMMAND, *SHORT)
    first = lukv_bench(*words, "--json")
    assert [row["allocator"] for row in first.rows] == ["full", "uniform"]
    assert len(here) == 2
    again = lukv_bench(*words, "--json")
    assert (again.rows, len(here)) == (first.rows, 2)
    assert "0 new measurements; 2 are in" in again.err
    assert lukv_bench(*words[:-1], "5").code == 0  # other tokens are another measurement
    assert len(here) == 4
    redone = lukv_bench(*words, "--redo", "--json")
    assert len(here) == 6
    assert [row["cost"] for row in redone.rows] == [row["cost"] for row in first.rows]
    assert [row["ttft_s"] for row in redone.rows] != [row["ttft_s"] for row in first.rows]

    shown = lukv_bench("results", "--cost", "--db", "out.db", "--json").rows
    assert len(shown) == 4
    table = lukv_bench("results", "--cost", "--db", "out.db").out
    assert "4 tokens decoded" in table
    assert "5 tokens decoded" in table
    assert "uniform" in table
    markdown = lukv_bench("results", "--cost", "--db", "out.db", "--markdown").out
    assert markdown.count("| niah_single_1 | 360 | uniform | keydiff | prune 0.5 | 2 |") == 2
    assert lukv_bench("results", "--cost", "--db", "out.db", "--csv").out.count("\n") == 5
    assert '"results --cost" shows what was measured' in lukv_bench("results", "--db", "out.db").out
    frame = lb.read("out.db").costs("niah_single_1")
    assert frame["tpot_s"].notna().all()
    assert len(frame) == 4


def test_a_failed_cell_is_a_row_and_stops_no_other(lukv_bench: Any, tiny: Path, here: list[str], query: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = session.measure_in_process

        def breaking(request: CostRequest, report: Callable[[str], None]) -> Measured | Failed:
            if "uniform" in request.unit.configurations[0].method.label:
                return Failed("GateError: its logits differ", gate=Gate(0.5, 0.001, 9))
            return real(request, report)

        patch.setattr(session, "measure_in_process", breaking)
        ended = lukv_bench("run", "--model", tiny, "--allocator", "uniform,adakv", *COMMAND, *SHORT, "--json")
    assert ended.code == 1
    assert [(row["allocator"], row["status"], row["tpot_s"] is None) for row in ended.rows] == [
        ("full", "done", False),
        ("uniform", "failed", True),
        ("adakv", "done", False),
    ]
    assert "failed: uniform x keydiff @ 0.5 on niah_single_1 at 360: GateError: its logits differ" in ended.err
    assert query("SELECT gate_error, gate_tolerance FROM cost WHERE status = 'failed'") == [(0.5, 0.001)]
    assert query("SELECT COUNT(*) FROM cost_repeat") == [(4,)]
    healed = lukv_bench("run", "--model", tiny, "--allocator", "uniform,adakv", *COMMAND, *SHORT, "--json")
    assert healed.code == 0
    assert [row["status"] for row in healed.rows] == ["done"] * 3
    assert len(here) == 3


def test_a_measurement_that_the_record_refuses_is_a_failure(lukv_bench: Any, tiny: Path, here: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = session.measure_in_process

        def short(request: CostRequest, report: Callable[[str], None]) -> Measured | Failed:
            measured = real(request, report)
            assert isinstance(measured, Measured)
            return replace(measured, repeats=measured.repeats[:1])

        patch.setattr(session, "measure_in_process", short)
        words = ("run", "--model", tiny, "--allocator", "full", "--no-baselines", *COMMAND, *SHORT, "--json")
        ended = lukv_bench(*words)
    assert ended.code == 1
    assert [(row["status"], row["error"]) for row in ended.rows] == [
        ("failed", "ValueError: 1 of 2 repeats were measured")
    ]


def test_ctrl_c_keeps_what_is_measured(lukv_bench: Any, tiny: Path, here: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = session.measure_in_process

        def interrupted(request: CostRequest, report: Callable[[str], None]) -> Measured | Failed:
            if here:
                raise Interrupted
            return real(request, report)

        patch.setattr(session, "measure_in_process", interrupted)
        ended = lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND, *SHORT)
    assert ended.code == 130
    assert "1 of 2 measurements are stored; run the same command again to continue." in ended.err
    assert lukv_bench("run", "--model", tiny, "--allocator", "uniform", *COMMAND, *SHORT).code == 0
    assert len(here) == 2


def test_a_block_schedule_is_measured_beside_one_shot(lukv_bench: Any, tiny: Path, here: list[str]) -> None:
    words = ("run", "--model", tiny, "--allocator", "uniform", "--schedule", "block:64,one-shot", "--no-baselines")
    ended = lukv_bench(*words, *COMMAND, *SHORT, "--json")
    assert ended.code == 0, ended.err
    assert here == ["uniform x keydiff @ 0.5, block:64", "uniform x keydiff @ 0.5"]
    blocks, one_shot = sorted(ended.rows, key=lambda row: row["label"] != here[0])
    assert blocks["gate_error"] < 1e-4
    assert blocks["kv_bytes_kept"] == one_shot["kv_bytes_kept"]
    assert 0 < blocks["footprint"] < one_shot["footprint"] < 1
    assert blocks["ttft_s"] > blocks["prefill_s"] > 0
    shown = lukv_bench("results", "--cost", "--db", "out.db").out
    assert "block:64" in shown


def test_a_dry_run_tells_what_would_be_measured(lukv_bench: Any, tiny: Path, here: list[str], home: Path) -> None:
    words = ("run", "--model", tiny, "--allocator", "uniform", "--schedule", "block:64", *COMMAND, *SHORT)
    ended = lukv_bench(*words, "--dry-run", "--max-memory", "0.001")
    assert ended.code == 0, ended.err
    assert "float32, cpu: 2 cells to measure" in ended.out
    assert "uniform x keydiff @ 0.5, block:64" in ended.out
    said = " ".join(ended.out.split())
    assert "2 that do, each of the prefill, the eviction and 4 tokens, then the largest batch within 1.02 MiB." in said
    assert "Nothing was measured, and nothing was stored" in said
    assert not here
    assert not (home / "work" / "out.db").exists()
    assert lukv_bench(*words).code == 0
    (forecast,) = lukv_bench(*words, "--dry-run", "--json").rows
    assert [(cell["method"], cell["is_done"]) for cell in forecast["cells"]] == [
        ("full", True),
        ("uniform x keydiff @ 0.5, block:64", True),
    ]
    assert forecast["n_todo"] == 0
    assert forecast["cells"][0]["n_context"] + forecast["cells"][0]["n_question"] <= 360
    (again,) = lukv_bench(*words, "--dry-run", "--json", "--redo").rows
    assert again["n_todo"] == 2
    too_many = lukv_bench(*words[:-1], "1900", "--dry-run")
    assert too_many.code == 2
    assert "are more than the 2048 positions" in too_many.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repeats", "3"), "--repeats is for --cost"),
        (("--new-tokens", "3"), "--new-tokens is for --cost"),
        (("--cost", "--new-tokens", "1"), "--new-tokens takes a number from 2"),
        (("--cost", "--repeats", "0"), "--repeats takes a number of at least 1"),
        (("--cost", "--batch", "1"), "--batch is for answers"),
        (("--cost", "--no-drafts"), "--no-drafts is for answers"),
        (("--cost", "--executor", "local"), "--executor is for answers"),
        (("--cost", "--device", "auto"), "--cost measures on one device"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    refused: Callable[..., str], tiny: Path, words: tuple[str, ...], said: str
) -> None:
    refused(["run", "--model", tiny, "--db", "out.db", *words], said)


def test_what_no_cell_can_be_measured_with_is_refused_before_the_first(refused: Callable[..., str], tiny: Path) -> None:
    command = ["run", "--model", tiny, "--allocator", "uniform", *COMMAND]
    refused([*command, "--new-tokens", "1900"], "are more than the 2048 positions", "--length")
    refused([*command, "--max-memory", "900000"], "is more than is free on cpu")
    refused(["results", "--cost", "--areas", "--db", "out.db"], "--cost shows what was measured")
