"""What makes a result another cell, and what is the same one by another name."""

from pathlib import Path
from typing import Any

import pytest

SHORT = ("--tasks", "niah_single_1", "--length", "360")


@pytest.mark.parametrize(
    "more",
    [
        ("--seed", "1"),
        ("--protocol", "aware"),
        ("--sink", "7"),
        ("--window", "7"),
        ("--dtype", "bfloat16"),
        ("--length", "540"),
        ("--tasks", "niah_multikey_2"),
        ("--ratio", "0.51"),
    ],
    ids=lambda more: more[0][2:],
)
def test_what_changes_a_result_changes_the_cell(tiny: Path, lukv_bench: Any, more: tuple[str, ...]) -> None:
    base = (
        "run",
        "--model",
        tiny,
        "--tasks",
        "niah_single_1",
        "--length",
        "520",
        "--limit",
        "1",
        "--ratio",
        "0.5",
        "--db",
        "out.db",
    )
    cells = [
        lukv_bench(*base, "--no-baselines", "--allocator", "uniform", *extra, "--json").rows for extra in ((), more)
    ]
    assert len({row["cell"] for rows in cells for row in rows}) == 2


def test_ratios_that_are_equal_are_one_cell(tiny: Path, lukv_bench: Any) -> None:
    base = (
        "run",
        "--model",
        tiny,
        *SHORT,
        "--limit",
        "1",
        "--db",
        "out.db",
        "--no-baselines",
    )
    ratios = [word for ratio in ("0.5", "0.50", ".5", "5e-1") for word in ("--ratio", ratio)]
    (row,) = lukv_bench(*base, "--allocator", "uniform", *ratios, "--json").rows
    assert row["ratio"] == 0.5


def test_two_names_of_one_profile_are_one_cell_answered_once(
    tiny: Path, profile: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.bench.run import answer

    real, calls = answer.decode, []

    def count(*arguments: Any) -> Any:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(answer, "decode", count)
    Path("copy.safetensors").write_bytes(profile.read_bytes())
    base = ("run", "--model", tiny, *SHORT, "--limit", "1", "--db", "out.db", "--no-baselines", "--ratio", "0.5")
    lukv = [word for path in (profile, "copy.safetensors") for word in ("--allocator", f"lukv:profile={path}")]
    ended = lukv_bench(*base, *lukv, "--json")
    assert ended.code == 0
    assert [row["n"] for row in ended.rows] == [1]
    assert len(calls) == 1
