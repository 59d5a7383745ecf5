"""Nothing of the user's is written over, nothing is half written, and stdout is ours alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.methods import policy


@pytest.fixture
def own(home: Path, texts: tuple[Path, Path]) -> tuple[Path, Path]:
    """A text and its questions in the working folder."""
    text, questions = Path("text.txt"), Path("questions.txt")
    text.write_text(texts[0].read_text())
    questions.write_text(texts[1].read_text())
    return text, questions


def test_inspect_never_writes_over_its_context(refused: Callable[..., str], own: tuple[Path, Path], tiny: Path) -> None:
    command = ["inspect", "--model", tiny, "--allocator", "uniform", "--ratio", "0.5"]
    refused([*command, "--context", own[0], "--out", f"./{own[0]}"], "--context", "--out", "same file")


def test_profile_never_writes_over_what_it_reads_or_twice_to_one_place(
    refused: Callable[..., str], own: tuple[Path, Path], tiny: Path, profile: Path
) -> None:
    command = ["profile", "--model", tiny, "--text", own[0], "--questions", own[1]]
    for read in own:
        refused([*command, "--out", read], "same file")
        refused([*command, "--out", "p.safetensors", "--export-kvpress", read], "same file")
    refused([*command, "--out", "p.npy", "--export-kvpress", "p.npy"], "same file")
    refused(["profile", "--from", profile, "--export-kvpress", profile], "same file")


def test_profile_checks_every_place_and_the_export_before_it_works(
    refused: Callable[..., str], own: tuple[Path, Path], tiny: Path
) -> None:
    command = ["profile", "--model", tiny, "--text", own[0], "--questions", own[1], "--out", "p.safetensors"]
    refused([*command, "--export-kvpress", "p.npy", "--export-length", "3"], "no ratio", "--export-length")
    refused([*command, "--seed", 2**63], "--seed")
    Path("p.snapkv.safetensors").mkdir()
    refused([*command, "--scorer", "knorm,snapkv", "--window", "1"], "p.snapkv.safetensors is a folder")
    Path("p.safetensors.json").mkdir()
    refused(command, "p.safetensors.json is a folder")


def test_what_a_plugin_prints_is_no_part_of_the_json(
    tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = policy.allocate

    def chatty(*arguments: Any) -> Any:
        print("hello from a plugin")
        return real(*arguments)

    monkeypatch.setattr(policy, "allocate", chatty)
    command = ("run", "--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--ratio", "0.5")
    ended = lukv_bench(*command, "--allocator", "uniform", "--db", "out.db", "--json")
    assert ended.code == 0
    assert len(json.loads(ended.out)) == 2
    assert "hello from a plugin" in ended.err


def test_a_plugin_that_exits_ends_its_own_cell(tiny: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaving(*_: Any) -> Any:
        raise SystemExit(7)

    monkeypatch.setattr(policy, "allocate", leaving)
    command = ("run", "--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--ratio", "0.5")
    ended = lukv_bench(*command, "--allocator", "uniform", "--db", "out.db", "--json")
    assert ended.code == 1
    assert [row["status"] for row in ended.rows] == ["complete", "failed"]
    assert "tried to end the program" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scorer", "uniform"], ("'uniform' is not one of the scorers", "--allocator")),
        (["--allocator", "keydiff"], ("'keydiff' is not one of the allocators", "--scorer")),
        (["--tasks", "NIAH_SINGLE_1"], ("did you mean 'niah_single_1'",)),
        (["--model", "SMOLLM2-135M"], ("did you mean 'smollm2-135m'",)),
        (["--scorer", "expected_attention:n_future=99999999"], ("n_future",)),
        (["--scorer", "expected_attention:epsilon=1e300"], ("epsilon",)),
        (["--scorer", "critical:of=tova,epsilon=1e300"], ("epsilon",)),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_near_misses_are_told_what_was_meant(
    refused: Callable[..., str], arguments: list[str], words: tuple[str, ...]
) -> None:
    refused(["run", *arguments], *words)
