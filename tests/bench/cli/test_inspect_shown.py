"""What `inspect` prints, and where it writes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

L, H = 2, 2
PLAIN = "The keeper lit the lamp at nine and wrote it down. " * 6


def test_a_place_in_a_folder_that_is_not_there_yet_is_made(
    lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]
) -> None:
    """As `profile --out` and `--db` do; said after the work it would be too late."""
    base = ("inspect", "--model", tiny, "--context", texts[0], "--out", "new/folder/f.npz")
    ended = lukv_bench(*base, "--allocator", "uniform", "--ratio", "0.5")
    assert ended.code == 0, ended.err
    assert Path("new/folder/f.npz").is_file()


def test_the_summary_is_true(lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]) -> None:
    base = ("inspect", "--model", tiny, "--context", texts[0], "--out", "f.npz")
    ended = lukv_bench(*base, "--allocator", "uniform", "--keep-tokens", "30")
    with np.load("f.npz") as archive:
        n_tokens = len(archive["token_ids"])
    line = ended.out.splitlines()[0]
    assert f"{n_tokens} tokens" in line
    assert f"{L * H * 30} of {n_tokens * L * H} slots" in line


def test_without_out_the_map_and_the_text_are_shown_and_nothing_is_written(
    lukv_bench: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("context.txt").write_text("\x1b[31mThe keeper lit the lamp.\nThen he wrote it down.\n" * 9)
    ended = lukv_bench(
        "inspect", "--model", tiny, "--context", "context.txt", "--allocator", "uniform", "--ratio", "0.6"
    )
    assert ended.code == 0, ended.err
    assert [path.name for path in Path().iterdir()] == ["context.txt"]
    assert "\x1b" not in ended.out, "a pipe gets no escape codes, not even those of the text"
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    layers = [line.split() for line in lines if re.fullmatch(r" +\d+ ( +\d+\S?)+ +\d+\.\d", line)]
    assert [row[0] for row in layers] == ["0", "1"]
    assert {row[-1] for row in layers} == {"40.0"}
    at = lines.index("Then he wrote it down.")
    assert re.fullmatch(r"[0-9# ]+", lines[at + 1])
    assert len(lines[at + 1]) <= len(lines[at]) + 1


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colours_unless_the_user_wants_none(
    lukv_bench: Any, tiny: Path, texts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    ended = lukv_bench("inspect", "--model", tiny, "--context", texts[0], "--allocator", "uniform", "--ratio", "0.5")
    assert ended.code == 0, ended.err
    assert ("\x1b[" in ended.out) is not no_color
    visible = re.sub(r"\x1b\[[0-9;]*m", "", ended.out)
    assert "On day 0 the keeper" in visible
    assert max(map(len, visible.splitlines())) <= 100


def test_the_marks_are_the_shares_of_heads_in_the_archive(lukv_bench: Any, tiny: Path) -> None:
    Path("context.txt").write_text("lamp " * 30 + "lamp")
    base = ("inspect", "--model", tiny, "--context", "context.txt", "--out", "f.npz", "--allocator", "global")
    ended = lukv_bench(*base, "--ratio", "0.5", "--window", "2")
    with np.load("f.npz") as archive:
        shares = np.bincount(archive["positions"], minlength=len(archive["token_ids"])) / (L * H)
    assert {0.0, 1.0} <= set(shares[-31:].tolist()), "the test looks at something"
    lines = ended.out.splitlines()
    at = [n for n, line in enumerate(lines) if line.startswith("lamp lamp")]
    text = "".join(lines[n].ljust(80) for n in at).rstrip()
    marks = "".join(lines[n + 1].ljust(80) if not lines[n + 1].startswith("lamp") else " " * 80 for n in at)
    shown = [marks[found.start()] for found in re.finditer("lamp", text)]
    expected = ["#" if share == 1 else " " if share == 0 else str(int(10 * share)) for share in shares[-31:]]
    assert shown == expected


def test_what_a_method_notes_is_said(lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]) -> None:
    base = ("inspect", "--model", tiny, "--context", texts[0], "--allocator")
    said = lukv_bench(*base, "pyramidkv", "--ratio", "0.2").out.splitlines()[1]
    assert said.startswith("event: pyramid_flattened beta=20 asked_first=")
    assert not any(
        line.startswith("event:") for line in lukv_bench(*base, "pyramidkv", "--ratio", "0.8").out.splitlines()
    )


def test_evidence_is_counted_head_by_head(lukv_bench: Any, tiny: Path, home: Path) -> None:
    Path("context.txt").write_text(PLAIN + "Its number is 9067354, he said. " + PLAIN)
    base = ("inspect", "--model", tiny, "--context", "context.txt", "--out", "f.npz", "--allocator", "uniform")
    ended = lukv_bench(*base, "--ratio", "0.6", "--evidence", "is 9067354")
    assert ended.code == 0, ended.err
    with np.load("f.npz") as archive:
        found = dict(archive)
    ((start, end),) = found["evidence"].tolist()
    decoded = AutoTokenizer.from_pretrained(tiny).decode(found["token_ids"][start:end].tolist())
    assert "is 9067354" in decoded
    assert len(decoded) <= len(" is 9067354")
    shares, holding = [], []
    for head in range(L * H):
        kept = set(found["positions"][found["offsets"][head] : found["offsets"][head + 1]].tolist())
        n = len(kept & {*range(start, end)})
        shares.append(n / (end - start))
        holding.append(2 * n >= end - start)
    assert f"tokens {start} to {end - 1}: a head keeps {100 * sum(shares) / 4:.1f}% of them" in ended.out
    assert f"{sum(holding)} of 4 heads keep at least half" in ended.out
    assert f"layer 0: {sum(holding[:H])}, layer 1: {sum(holding[H:])}" in ended.out
    twice = lukv_bench(*base, "--ratio", "0.6", "--evidence", "lamp")
    assert "the evidence, at 12 places" in twice.out
    assert "and 2 more places" in twice.out


@pytest.mark.parametrize(("evidence", "words"), [("", "is empty"), ("LAMP", "'LAMP' letter by letter")])
def test_evidence_that_stands_nowhere_is_refused(refused: Any, evidence: str, words: str) -> None:
    Path("context.txt").write_text(PLAIN)
    refused(["inspect", "--context", "context.txt", "--evidence", evidence], "--evidence", words)
