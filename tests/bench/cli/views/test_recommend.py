"""`recommend`: what fits, what keeps enough, and how sure that is."""

import lzma
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lukv_bench as lb
from lukv_bench.db.example import PACKED

if TYPE_CHECKING:
    from .conftest import MakeDatabase

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "howto" / "recommend.md"
PER_TOKEN = 2 * 2 * 2 * 16 * 4
"""Bytes of keys and values of a token of the tiny model, in float32."""
N = 80
SCORES = {
    "full": {"niah_single_1": [100.0] * N},
    "lukv x keydiff, prune 0.5": {"niah_single_1": [100.0] * N},
    "adakv x keydiff, prune 0.8": {"niah_single_1": [100.0] * (N - 4) + [0.0] * 4},
    "uniform x keydiff, prune 0.9": {"niah_single_1": [100.0] * 32 + [0.0] * 48},
    "lukv x keydiff, keep 300": {"niah_single_1": [0.0] * N},
}


FEW = {name: {"niah_single_1": scores["niah_single_1"][:12]} for name, scores in SCORES.items()}


@pytest.fixture(scope="module")
def measured(once: "MakeDatabase") -> Path:
    return once(SCORES)


def wanted(db: Path, model: Path, kib: float, quality: str = "90%", length: int = 1000) -> list[object]:
    need = ["--context-length", length, "--memory", f"{kib}KiB", "--min-quality", quality]
    return ["recommend", "--db", db, "--model", model, *need]


def test_what_fits_is_judged_and_the_best_comes_first(lukv_bench: Any, measured: Path, tiny: Path) -> None:
    ended = lukv_bench(*wanted(measured, tiny, 500 * PER_TOKEN / 1024 - 0.5), "--json")
    assert ended.code == 0, ended.err
    assert [(row["method"], row["budget"], row["kv_bytes"], row["standing"]) for row in ended.rows] == [
        ("adakv x keydiff", "prune 0.8", 200 * PER_TOKEN, "met so far"),
        ("uniform x keydiff", "prune 0.9", 100 * PER_TOKEN, "not met"),
        ("lukv x keydiff", "keep 300", 300 * PER_TOKEN, "not met"),
    ]
    assert [row["quality"] for row in ended.rows] == pytest.approx([95, 40, 0])
    shown = lukv_bench(*wanted(measured, tiny, 500 * PER_TOKEN / 1024))
    assert "500 tokens a head: prune at least 50.0%" in shown.out
    assert "Take lukv x keydiff, prune 0.5: it keeps at least 90% of the full cache's score" in " ".join(
        shown.out.split()
    )
    assert "lukv-bench run" not in shown.out


def test_a_longer_context_than_measured_is_said_and_asked_for(lukv_bench: Any, measured: Path, tiny: Path) -> None:
    shown = lukv_bench(*wanted(measured, tiny, 1000 * PER_TOKEN / 1024, length=2000)).out
    assert "It is of shorter contexts than 2000 tokens" in shown
    assert "--length 2000" in shown


def test_the_command_asks_for_more_of_the_same_samples(lukv_bench: Any, measured: Path, tiny: Path) -> None:
    shown = lukv_bench(*wanted(measured, tiny, 250 * PER_TOKEN / 1024)).out
    assert "Nothing is sure to keep 90%" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("    lukv-bench run")]
    words = shlex.split(line)
    given = dict(zip(words[2::2], words[3::2], strict=True))
    limit = int(given.pop("--limit"))
    assert N < limit < 10_000
    assert given == {
        "--db": str(measured),
        "--model": str(tiny),
        "--dtype": "float32",
        "--allocator": "adakv",
        "--scorer": "keydiff",
        "--ratio": "0.8",
        "--sink": "4",
        "--protocol": "agnostic",
        "--tasks": "niah_single_1",
        "--length": "1024",
        "--seed": "0",
    }
    assert lukv_bench(*words[1:], "--no-such-option").code == 2, "and it is a command"


@pytest.mark.parametrize(
    ("tokens", "quality", "said"),
    [
        (
            150,
            "90%",
            "Nothing that fits keeps 90% of the full cache's score: uniform x keydiff, prune 0.9 comes closest",
        ),
        (250, "98%", "Nothing that fits keeps 98% of the full cache's score over these samples; adakv x keydiff"),
        (50, "90%", "Nothing in the database fits"),
        (0.5, "90%", "hold not one token of each head"),
        (1000, "90%", "The full cache fits: evict nothing."),
    ],
)
def test_a_plain_answer(lukv_bench: Any, measured: Path, tiny: Path, tokens: float, quality: str, said: str) -> None:
    ended = lukv_bench(*wanted(measured, tiny, tokens * PER_TOKEN / 1024, quality))
    assert ended.code == 0, ended.err
    assert said in " ".join(ended.out.split())
    assert ("lukv-bench run" in ended.out) == (tokens == 250)


def test_other_settings_are_judged_apart(lukv_bench: Any, database: "MakeDatabase", tiny: Path) -> None:
    db = database(FEW, seeds=(0, 1))
    ended = lukv_bench(*wanted(db, tiny, 400, "20%"), "--json")
    assert [row["seed"] for row in ended.rows] == [0] * 4 + [1] * 4
    assert ended.rows[0]["p_holm"] == pytest.approx(4 * ended.rows[0]["p_value"]), "of four, not of eight"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--memory", "0"), ("--memory", "2GiB")),
        (("--memory", "2TB"), ("--memory", "GiB")),
        (("--memory", "9" * 12 + "GiB"), ("--memory",)),
        (("--min-quality", "120%"), ("--min-quality", "98%")),
        (("--min-quality", "0%"), ("--min-quality", "98%")),
        (("--min-quality", "0.98"), ("--min-quality", "98%")),
        (("--context-length", "0"), ("--context-length",)),
        (("--context-length", "9000"), ("9000", "2048")),
        (("--dtype", "int4"), ("--dtype", "bfloat16")),
        (("--model", "nowhere"), ("nowhere",)),
        (("--model", "smollm2-135m"), ("no results of smollm2-135m", "tiny")),
        (("--db", "nowhere.db"), ("nowhere.db",)),
    ],
)
def test_what_makes_no_sense_is_refused(
    refused: Any, measured: Path, tiny: Path, options: tuple[str, str], words: tuple[str, ...]
) -> None:
    given = {"--db": measured, "--model": tiny, "--context-length": 1000, "--memory": "1MiB"} | {options[0]: options[1]}
    refused(["recommend", *(word for pair in given.items() for word in pair)], *words)


def test_without_a_full_cache_there_is_nothing_to_hold_against(
    refused: Any, database: "MakeDatabase", tiny: Path
) -> None:
    db = database({name: scores for name, scores in FEW.items() if name != "full"})
    refused(wanted(db, tiny, 400), "full cache", "--no-baselines")


def test_python_gets_the_same_rows(lukv_bench: Any, measured: Path, tiny: Path) -> None:
    frame = lb.read(measured).recommend(str(tiny), 1000, "300KiB", "90%")
    rows = lukv_bench(*wanted(measured, tiny, 300), "--json").rows
    assert [dict(row) for row in frame.to_dict("records")] == rows
    with pytest.raises(lb.UserError, match="memory"):
        lb.read(measured).recommend(str(tiny), 1000, "much")


def test_the_document_shows_what_is_printed(lukv_bench: Any, home: Path) -> None:
    Path("example.db").write_bytes(lzma.decompress(PACKED.read_bytes()))
    blocks = re.findall(
        r"^```console\n\$ lukv-bench (.*?)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.S | re.M
    )
    assert len(blocks) == 2
    for command, printed in blocks:
        ended = lukv_bench(*shlex.split(command))
        assert ended.code == 0, ended.err
        assert ended.out.rstrip() == printed.rstrip()
