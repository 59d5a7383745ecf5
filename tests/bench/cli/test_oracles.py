"""`run --floors --oracles`: what is added, once; that it is finished like anything else; where it is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lukv_bench as lb

SHORT = ("--tasks", "niah_single_1", "--length", "360", "--db", "out.db")
ADDED = {
    ("uniform", "streaming_llm"),
    ("uniform", "random"),
    ("oracle", "oracle"),
    ("uniform", "oracle"),
    ("oracle", "keydiff"),
}
LACKS = "it reads what the reference answer will attend to"


def pairs(rows: list[dict[str, Any]]) -> set[tuple[str, str | None]]:
    return {(row["allocator"], row["scorer"]) for row in rows}


def test_they_stand_beside_every_budget_and_are_finished_like_others(lukv_bench: Any, tiny: Path) -> None:
    run = ["run", "--model", tiny, *SHORT, "--allocator", "adakv", "--ratio", "0.8", "--json"]
    plain = lukv_bench(*run, "--limit", "1").rows
    assert pairs(plain) == {("full", None), ("uniform", "keydiff"), ("adakv", "keydiff")}
    first = lukv_bench(*run, "--limit", "1", "--floors", "--oracles")
    assert first.code == 0, first.err
    assert pairs(first.rows) == pairs(plain) | ADDED
    assert len(first.rows) == 1 + 2 + len(ADDED)
    assert f"{len(ADDED)} new answers" in first.err, "what was there is not answered again"
    assert {(row["allocator"], row["scorer"]) for row in first.rows if row["is_oracle"]} == {
        pair for pair in ADDED if "oracle" in pair
    }
    assert all(row["status"] == "complete" and row["n_fidelity"] == 1 for row in first.rows if row["is_oracle"])
    more = lukv_bench(*run, "--limit", "2", "--floors", "--oracles")
    assert f"{len(first.rows)} new answers" in more.err
    again = lukv_bench(*run, "--limit", "2", "--floors", "--oracles")
    assert "0 new answers" in again.err
    assert again.rows == more.rows
    assert all(row["kv_bytes_kept"] is not None for row in more.rows)
    spec = {row["label"]: row["spec"].get("oracle") for row in more.rows}
    assert spec["oracle x oracle @ 0.8"] == ["allocator", "scorer"]
    assert spec["oracle x keydiff @ 0.8"] == ["allocator"]
    assert spec["uniform x oracle @ 0.8"] == ["scorer"]
    assert spec["uniform x random @ 0.8"] is None


def test_a_file_and_python_take_them_too(lukv_bench: Any, tiny: Path, home: Path) -> None:
    (home / "work" / "sweep.yaml").write_text(
        f"model: {tiny}\ntasks: niah_single_1\nlength: 360\nlimit: 1\nallocator: full\nno-baselines: true\n"
        "ratio: 0.5\nfloors: true\noracles: false\ndb: file.db\n"
    )
    ended = lukv_bench("run", "--config", "sweep.yaml", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    (forecast,) = ended.rows
    assert [(task["n_cells"], task["n_oracles"]) for task in forecast["tasks"]] == [(3, 0)]
    shown = lukv_bench("run", "--config", "sweep.yaml", "--oracles", "--dry-run")
    assert "3 of the cells are oracles" in shown.out
    frame = lb.run(
        model=str(tiny), tasks="niah_single_1", length=360, limit=1, ratio=0.5, allocator="uniform", baselines=False,
        oracles=True, db="python.db", progress=False,
    )  # fmt: skip
    assert set(frame.loc[frame["is_oracle"], "scorer"]) == {"oracle", "keydiff"}
    with pytest.raises(lb.UserError, match="floors is True or False"):
        lb.run(floors="yes", progress=False)  # type: ignore[arg-type]


def test_what_exclude_matches_is_not_added(lukv_bench: Any, tiny: Path) -> None:
    run = ["run", "--model", tiny, *SHORT, "--limit", "1", "--no-baselines", "--allocator", "uniform", "--floors"]
    (forecast,) = lukv_bench(*run, "--exclude", "{scorer: random}", "--dry-run", "--json").rows
    assert [task["n_cells"] for task in forecast["tasks"]] == [2]


def test_under_aware_they_read_what_is_fed_after_the_eviction(lukv_bench: Any, tiny: Path) -> None:
    run = ["run", "--model", tiny, *SHORT, "--limit", "1", "--no-baselines", "--allocator", "uniform", "--oracles"]
    ended = lukv_bench(*run, "--protocol", "aware", "--json")
    assert ended.code == 0, ended.err
    assert {row["status"] for row in ended.rows} == {"complete"}


UNIFORM = ("--allocator", "uniform")
REFUSED: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "cost": (["run", "--cost", "--oracles"], ("oracles", "no cost")),
    "a named oracle's cost": (["run", "--cost", "--allocator", "oracle"], ("oracle x keydiff", "has no cost")),
    "blocks": (["run", "--schedule", "block:64", "--oracles", *UNIFORM], ("evicts before",)),
    "a named oracle in blocks": (["run", "--schedule", "block:64", "--scorer", "oracle", *UNIFORM], ("the future",)),
    "a profile": (["run", "--allocator", "lukv", "--scorer", "oracle"], ("the profile of lukv",)),
    "lm-eval": (["lm-eval", "run", "--model", "lukv", "--model_args", "allocator=oracle", "--tasks", "x"], (LACKS,)),
    "a profile of its own": (["profile", "--scorer", "oracle", "--out", "p.safetensors"], (LACKS,)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_where_there_is_no_future_they_are_refused(refused: Callable[..., str], tiny: Path, case: str) -> None:
    words, parts = REFUSED[case]
    if words[0] in ("run", "profile"):
        words = [*words, "--model", str(tiny)]
    refused(words, *parts)


def test_inspect_refuses_them(refused: Callable[..., str], tiny: Path, texts: tuple[Path, Path]) -> None:
    refused(["inspect", "--model", tiny, "--context", texts[0], "--scorer", "oracle", "--allocator", "uniform"], LACKS)


def test_python_refuses_them_for_a_context_alone(tiny: Path) -> None:
    model = lb.load(str(tiny), progress=False)
    with pytest.raises(lb.UserError, match=r"uniform x oracle @ 0\.8 is an oracle"):
        model.evict("a text of some words " * 9, allocator="uniform", scorer="oracle", progress=False)


def test_documents_without_references_are_refused_and_an_answer_that_lacks_one_fails(
    lukv_bench: Any, refused: Callable[..., str], tiny: Path, home: Path
) -> None:
    rows = [{"context": "The lamp is green. " * 20, "question": "Which lamp?"}] * 2
    asked = home / "work" / "asked.jsonl"
    asked.write_text("\n".join(map(json.dumps, rows)))
    run = ["run", "--model", tiny, "--data", asked, "--db", "out.db", "--allocator", "uniform", "--oracles"]
    refused(run, LACKS, "the full cache's own answer stands for them")
    rows = [row | {"answers": ["green"]} for row in rows]
    asked.write_text("\n".join(map(json.dumps, rows)))
    ended = lukv_bench(*run, "--json")
    assert ended.code == 0, ended.err
    assert {row["status"] for row in ended.rows} == {"complete"}
