"""`compare`: which differences are real, in words and as rows."""

import csv
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scipy import stats

if TYPE_CHECKING:
    from .conftest import MakeDatabase

RIGHT, WRONG = 100.0, 0.0
A, B = "lukv x keydiff, prune 0.8", "uniform x keydiff, prune 0.8"
TWELVE = {
    A: {"niah_single_1": [RIGHT] * 11 + [WRONG], "fwe": [RIGHT] * 9 + [WRONG] * 3},
    B: {"niah_single_1": [WRONG] * 12, "fwe": [WRONG] * 4 + [RIGHT] * 8},
    "full": {"niah_single_1": [RIGHT] * 12, "fwe": [RIGHT] * 12},
}


@pytest.fixture
def two_tasks(database: "MakeDatabase") -> Path:
    return database(TWELVE)


def test_a_real_difference_is_said_in_words(two_tasks: Path, lukv_bench: Any) -> None:
    ended = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--task", "niah_single_1")
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.split())
    assert f"{A} is better than {B} on niah_single_1 1024: by 91.7 points (p = 0.0010, exact)" in text
    assert "A won 11 of 12 samples, lost 0 and tied on 1." in text


def test_chance_is_said_in_words_with_what_it_would_take(two_tasks: Path, lukv_bench: Any) -> None:
    text = " ".join(lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--task", "fwe").out.split())
    assert f"These samples do not tell {A} and {B} apart on fwe 1024 (p = 1.0000, exact)" in text
    assert "a difference of 8.3 points takes about" in text
    assert "A won 4 of 12 samples, lost 3 and tied on 5." in text


def test_rows_of_tasks_and_of_all(two_tasks: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("compare", "lukv x keydiff", "full", "--db", two_tasks, "--json").rows
    assert [(row["task"], row["n_tasks"], row["won"], row["lost"], row["tied"]) for row in rows] == [
        ("fwe", 1, 0, 3, 9),
        ("niah_single_1", 1, 0, 1, 11),
        (None, 2, 0, 4, 20),
    ]
    whole = rows[-1]
    assert whole["difference"] == pytest.approx((-25 - 100 / 12) / 2)
    assert whole["p_value"] == pytest.approx(stats.binomtest(0, 4).pvalue)
    assert whole["low"] < whole["difference"] < whole["high"]
    assert (whole["a"], whole["b"], whole["cell_a"]) == (A, "full", None)
    printed = lukv_bench("compare", "lukv x keydiff", "full", "--db", two_tasks, "--csv").out
    assert [row["difference"] for row in csv.DictReader(io.StringIO(printed))] == [str(r["difference"]) for r in rows]
    markdown = lukv_bench("compare", "lukv x keydiff", "full", "--db", two_tasks, "--markdown").out
    assert "| all 2 tasks | 24 |" in markdown


def test_cells_and_configurations_by_id(two_tasks: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("results", "--db", two_tasks, "--json").rows
    one, other = (next(r for r in rows if r["allocator"] == name and r["task"] == "fwe") for name in ("lukv", "full"))
    by_cell = lukv_bench("compare", one["cell"], other["cell"], "--db", two_tasks, "--json").rows
    assert [(row["task"], row["difference"]) for row in by_cell] == [("fwe", -25.0)]
    by_id = lukv_bench("compare", one["configuration"], other["configuration"], "--db", two_tasks, "--json").rows
    assert len(by_id) == 3


def test_several_pairs_are_corrected_for_their_number(database: "MakeDatabase", lukv_bench: Any) -> None:
    """Five of twelve won, p = 0.0625 twice over; six, p = 0.03125, which is 0.0625 among two."""
    path = database(
        {
            f"{allocator} x keydiff, prune {ratio}": {"fwe": [score] * n + [RIGHT] * (12 - n)}
            for ratio, n in (("0.5", 5), ("0.8", 6))
            for allocator, score in (("lukv", RIGHT), ("uniform", WRONG))
        }
    )
    ended = lukv_bench("compare", "lukv", "uniform", "--db", path, "--json")
    assert [(row["p_value"], row["p_holm"]) for row in ended.rows] == [(0.0625, 0.0625), (0.03125, 0.0625)]
    text = " ".join(lukv_bench("compare", "lukv", "uniform", "--db", path).out.split())
    assert "p = 0.0625, exact; p = 0.0312 alone, before Holm's correction" in text


def test_questions_about_one_document_count_as_one(database: "MakeDatabase", lukv_bench: Any) -> None:
    scores = {A: {"qasper": [RIGHT] * 12}, B: {"qasper": [WRONG] * 12}}
    path = database(scores, document=lambda ordinal: f"paper {ordinal // 4}")
    (row,) = lukv_bench("compare", "lukv", "uniform", "--db", path, "--json").rows
    assert (row["n_samples"], row["n_documents"], row["p_value"]) == (12, 3, 0.25)
    assert "which ask about 3 documents" in " ".join(lukv_bench("compare", "lukv", "uniform", "--db", path).out.split())


def test_the_samples_that_flipped(two_tasks: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--task", "fwe", "--flips", "--json").rows
    assert [(row["ordinal"], row["score_a"], row["score_b"]) for row in rows] == [
        *((i, WRONG, RIGHT) for i in (9, 10, 11)),
        *((i, RIGHT, WRONG) for i in (0, 1, 2, 3)),
    ]
    assert (rows[0]["text_b"], rows[0]["references"]) == (f"{B} says 100", ["42"])
    out = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--task", "fwe", "--flips").out
    assert "fwe 1024, sample 9 (fwe 0 9): A lost" in out
    assert f"{B} says 100" in out
    markdown = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--flips", "--markdown").out
    assert f"| fwe | 1024 | 9 | {A} says 0 | 0.0 | {B} says 100 | 100.0 | 42 |" in markdown
    printed = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--flips", "--csv").out
    assert len(list(csv.DictReader(io.StringIO(printed)))) == 7 + 11


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["lukv", "lukv"], "both name cell"),
        (["nosuch", "uniform"], '"nosuch" is no allocator'),
        (["lukv", "uniform", "--json", "--csv"], "give one of --json, --csv and --markdown."),
        (["lukv", "uniform", "--task", "nosuch"], "nosuch"),
        (
            ["lukv", "uniform", "--task", "niah_multikey_1"],
            "there are no results for niah_multikey_1; leave --task out",
        ),
    ],
)
def test_what_cannot_be_compared(two_tasks: Path, refused: Callable[..., str], line: list[str], said: str) -> None:
    assert said in refused(["compare", *line, "--db", str(two_tasks)])


def test_two_that_answered_different_tasks_are_not_compared(
    database: "MakeDatabase", refused: Callable[..., str]
) -> None:
    path = database({A: {"fwe": [RIGHT]}, B: {"qasper": [RIGHT]}})
    assert "but no two of them share" in refused(["compare", "lukv", "uniform", "--db", str(path)])


def test_from_python(two_tasks: Path) -> None:
    import lukv_bench

    frame = lukv_bench.read(two_tasks).compare("lukv", "uniform")
    assert frame["won"].tolist() == [4, 11, 15]


def with_fidelity(path: Path) -> Path:
    """Every answer that says how its cache differs from the full one: A's a little, B's much, whatever they scored."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO fidelity (answer_id, n_tokens, kl_nats, agreement, reference_nll, full_reference_nll) "
            "SELECT answer.id, 4, base + 0.01 * (answer.id % 5), 1 - base / 2, 1 + base, 1 FROM answer JOIN cell ON "
            "cell.id = cell_id JOIN (SELECT id, CASE allocator WHEN 'lukv' THEN 0.1 WHEN 'uniform' THEN 0.5 ELSE 0 END "
            "AS base FROM configuration) AS of ON of.id = configuration_id"
        )
        connection.commit()
    return path


def test_a_difference_in_fidelity_is_better_where_it_is_less(two_tasks: Path, lukv_bench: Any) -> None:
    path = with_fidelity(two_tasks)
    command = ("compare", "lukv", "uniform", "--db", path, "--task", "fwe", "--by", "kl")
    text = " ".join(lukv_bench(*command).out.split())
    assert f"{A} is closer to the full cache than {B} on fwe 1024: by 0." in text
    assert "nats of KL (p = 0.0005, " in text
    assert "A won 12 of 12 samples" in text
    (row,) = lukv_bench(*command, "--json").rows
    assert (row["measure"], row["won"], row["score_a"] < row["score_b"]) == ("kl", 12, True)
    assert row["difference"] == pytest.approx(-0.4, abs=0.02)
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["bootstrap_low"] <= row["difference"] <= row["bootstrap_high"]


@pytest.mark.parametrize(("measure", "a", "b"), [("agreement", 95, 75), ("nll", 1.1, 1.5)])
def test_agreement_and_likelihood_are_compared_likewise(
    two_tasks: Path, lukv_bench: Any, measure: str, a: float, b: float
) -> None:
    path = with_fidelity(two_tasks)
    rows = lukv_bench("compare", "lukv", "uniform", "--db", path, "--by", measure, "--json").rows
    wanted = (pytest.approx(a), pytest.approx(b), 0)
    assert [(row["score_a"], row["score_b"], row["lost"]) for row in rows] == [wanted] * 3


def test_fidelity_that_was_not_measured_or_goes_with_nothing_is_refused(two_tasks: Path, lukv_bench: Any) -> None:
    ended = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--by", "kl")
    assert (ended.code, "kl of 0 of 12 samples of A: no task has it on every answer" in ended.err) == (2, True)
    ended = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--by", "luck")
    assert (ended.code, "--by is score or kl or agreement or nll" in ended.err) == (2, True)
    ended = lukv_bench("compare", "lukv", "uniform", "--db", two_tasks, "--by", "kl", "--flips")
    assert (ended.code, "leave --by out" in ended.err) == (2, True)


def test_a_task_that_was_measured_in_part_is_left_out_and_named(two_tasks: Path, lukv_bench: Any) -> None:
    path = with_fidelity(two_tasks)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "DELETE FROM fidelity WHERE answer_id = (SELECT min(answer.id) FROM answer JOIN cell ON cell.id = cell_id "
            "JOIN configuration ON configuration.id = configuration_id WHERE task = 'fwe' AND allocator = 'lukv')"
        )
        connection.commit()
    command = ("compare", "lukv", "uniform", "--db", path, "--by", "kl")
    rows = lukv_bench(*command, "--json").rows
    assert [(row["task"], row["n_samples"]) for row in rows] == [("niah_single_1", 12)]
    assert rows[0]["incomplete"] == "fwe 1024: kl of 11 of 12 samples of A"
    assert "incomplete, left out: fwe 1024: kl of 11 of 12" in lukv_bench(*command).out


def test_caches_that_are_alike_up_to_rounding_are_tied(two_tasks: Path, lukv_bench: Any) -> None:
    path = with_fidelity(two_tasks)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE fidelity SET kl_nats = 0.25 + 1e-11 * answer_id")
        connection.commit()
    command = ("compare", "lukv", "uniform", "--db", path, "--by", "kl", "--task", "fwe")
    (row,) = lukv_bench(*command, "--json").rows
    assert [row[name] for name in ("difference", "low", "high", "won", "lost", "tied")] == [0, 0, 0, 0, 0, 12]
    text = " ".join(lukv_bench(*command).out.split())
    assert "their means are the same on each of them. A won 0 of 12" in text
