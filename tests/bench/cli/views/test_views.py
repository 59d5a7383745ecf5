"""`results --by`, `--pareto`, `--latex` and `--plot`: ranked configurations, tables for papers, figures."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import MakeDatabase

RIGHT, WRONG = 100.0, 0.0
SCORES = {
    "full": {"niah_single_1": [RIGHT] * 24, "fwe": [RIGHT] * 24},
    "lukv x keydiff, prune 0.5": {"niah_single_1": [RIGHT] * 24, "fwe": [RIGHT] * 23 + [WRONG]},
    "lukv x keydiff, prune 0.8": {"niah_single_1": [RIGHT] * 12 + [WRONG] * 12, "fwe": [RIGHT] * 20 + [WRONG] * 4},
    "uniform x keydiff, prune 0.5": {"niah_single_1": [WRONG] * 24, "fwe": [WRONG] * 24},
    "uniform x keydiff, prune 0.8": {"niah_single_1": [WRONG] * 24, "fwe": [WRONG] * 24},
}


@pytest.fixture
def board(database: "MakeDatabase") -> Path:
    return database(SCORES | {"adakv x keydiff, prune 0.8": {"niah_single_1": [RIGHT] * 24}})


def test_configurations_are_ranked_with_shared_ranks(board: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("results", "--db", board, "--by", "task", "--json").rows
    assert [(row["method"], row["budget"], row["rank"]) for row in rows] == [
        ("full", "-", 1),
        ("lukv x keydiff", "prune 0.5", 1),
        ("lukv x keydiff", "prune 0.8", 3),
        ("uniform x keydiff", "prune 0.5", 4),
        ("uniform x keydiff", "prune 0.8", 4),
    ]
    third = rows[2]
    assert third["parts"] == {"fwe 1024": pytest.approx(100 * 20 / 24), "niah_single_1 1024": 50.0}
    assert third["score"] == pytest.approx((100 * 20 / 24 + 50) / 2)
    assert third["gain"][0] == pytest.approx(third["score"])
    assert (third["best_place"], third["worst_place"]) == (3, 3)


def test_an_incomplete_configuration_stands_apart(board: Path, lukv_bench: Any) -> None:
    out = lukv_bench("results", "--db", board, "--by", "family").out
    table, remarks = out.split("\n\n", 1)
    assert "adakv" not in table
    assert "incomplete, not ranked: adakv x keydiff, prune 0.8: fwe 1024: 0 of 24 samples" in " ".join(remarks.split())
    assert (
        "adakv" in lukv_bench("results", "--db", board, "--by", "task", "--task", "niah_single_1").out.split("\n\n")[0]
    )


def test_against_another_row(board: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("results", "--db", board, "--by", "task", "--against", "full", "--json").rows
    gains = {(row["method"], row["budget"]): row["gain"] and round(row["gain"][0], 1) for row in rows}
    assert gains["lukv x keydiff", "prune 0.8"] == -33.3
    assert gains["full", "-"] is None


def test_models_side_by_side(database: "MakeDatabase", lukv_bench: Any) -> None:
    rows = lukv_bench("results", "--db", database(SCORES), "--by", "model", "--csv").out
    (first, *_) = csv.DictReader(io.StringIO(rows))
    assert (first["method"], first["score: tiny"]) == ("full", "100.0")


def test_scores_by_what_samples_are_grouped_by(
    database: "MakeDatabase", lukv_bench: Any, refused: Callable[..., str]
) -> None:
    """The needles of the first six samples are shallow, of the others deep; fwe has no depth but a kind."""
    path = database(SCORES)
    with closing(sqlite3.connect(path)) as opened, opened:
        for task, name, values in (("niah_single_1", "depth", (100, 90)), ("fwe", "kind", ("list", "count"))):
            for condition, value in zip(("<", ">="), values, strict=True):
                opened.execute(
                    f"UPDATE sample SET facets = ? WHERE task = ? AND ordinal {condition} 6",
                    (json.dumps({"document": "one text", name: value}), task),
                )
    ended = lukv_bench("results", "--db", path, "--by", "depth", "--json")
    assert ended.code == 0, ended.err
    rows = {(row["method"], row["budget"]): row for row in ended.rows}
    assert rows["lukv x keydiff", "prune 0.8"]["parts"] == {"100": 100.0, "90": pytest.approx(100 * 6 / 18)}
    assert rows["full", "-"]["parts"] == {"100": 100.0, "90": 100.0}
    columns = lukv_bench("results", "--db", path, "--by", "depth", "--csv").out.splitlines()[0]
    assert columns.endswith("score: 90,score: 100"), "by size"
    (first, *_) = csv.DictReader(io.StringIO(lukv_bench("results", "--db", path, "--by", "kind", "--csv").out))
    assert first["score: count"] == "100.0"
    said = refused(["results", "--db", str(path), "--by", "document"])
    assert '--by is task, family, model, depth or kind for these tasks, not "document".' in said
    nothing = lukv_bench("results", "--db", path, "--by", "kind", "--task", "vt", "--csv")
    assert (nothing.code, len(nothing.out.splitlines())) == (0, 1)


def test_the_frontier_keeps_what_nothing_beats(board: Path, lukv_bench: Any) -> None:
    rows = lukv_bench("results", "--db", board, "--pareto", "--json").rows
    assert [(row["method"], row["budget"]) for row in rows] == [
        ("full", "-"),
        ("lukv x keydiff", "prune 0.5"),
        ("lukv x keydiff", "prune 0.8"),
    ]
    out = lukv_bench("results", "--db", board, "--pareto", "--markdown").out
    assert "| 3 | 3-3 | lukv x keydiff | prune 0.8 |" in out
    assert "3 of 5 are" in out
    for row in rows:
        (low, high), own = row["frontier"], row["interval"]
        assert (low <= own[0], high) == (True, own[1]), "the best so far is the last"
        assert f"[{low:.1f}, {high:.1f}]" in out.split(row["method"])[1].split("\n")[0] or row["budget"] != "-"
    others = [row for row in lukv_bench("results", "--db", board, "--by", "task", "--json").rows if row not in rows]
    assert {row["frontier"] for row in others if not row["is_on_frontier"]} == {None}


def test_areas_of_methods(board: Path, lukv_bench: Any) -> None:
    """Over two budgets the area is the mean of the two scores; the method with one budget has none."""
    rows = lukv_bench("results", "--db", board, "--task", "niah_single_1", "--areas", "--json").rows
    assert [(row["method"], row["rank"], row["area"], row["loss_percent"]) for row in rows] == [
        ("lukv x keydiff", 1, pytest.approx(75), pytest.approx(25)),
        ("uniform x keydiff", 2, 0, pytest.approx(100)),
    ]
    assert rows[0]["budgets"] == ["prune 0.5", "prune 0.8"]
    assert rows[0]["interval_low"] < 75 < rows[0]["interval_high"]
    assert rows[0]["loss_low"] < 25 < rows[0]["loss_high"]
    out = lukv_bench("results", "--db", board, "--areas", "--task", "niah_single_1").out
    assert "no area, since there are not two budgets: adakv x keydiff" in " ".join(out.split())
    first, *_ = csv.DictReader(io.StringIO(lukv_bench("results", "--db", board, "--areas", "--csv").out))
    assert (first["method"], round(float(first["area"]), 1)) == ("lukv x keydiff", 82.3)
    both = lukv_bench("results", "--db", board, "--areas", "--markdown").out
    assert "| 1 | 1-1 | lukv x keydiff | prune 0.5 to 0.8 (2) | 82.3 [" in both
    assert "- 1 incomplete configurations are left out" in both


@pytest.mark.parametrize("options", [[], ["--by", "task"], ["--areas"]])
def test_latex_escapes_and_aligns(board: Path, lukv_bench: Any, options: list[str]) -> None:
    out = lukv_bench("results", "--db", board, "--latex", *options).out
    assert (r"niah\_single\_1" in out) == ("--areas" not in options)
    assert re.search(r"(?<!\\)[%_&#$]\w", out.replace(" & ", "")) is None
    body = out.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", out)
    assert columns is not None
    assert {line.count(" & ") + 1 for line in body} == {len(columns[1])}
    assert all(line.endswith(r"\\") for line in body)


@pytest.mark.parametrize(
    ("name", "begins", "holds"),
    [("q.png", b"\x89PNG", b"IEND"), ("q.svg", b"<svg", b"seeds 0, 3 pooled"), ("q.HTML", b"<!DOCTYPE html>", b"vega")],
)
def test_a_figure_of_quality_against_budget(
    database: "MakeDatabase", lukv_bench: Any, tmp_path: Path, name: str, begins: bytes, holds: bytes
) -> None:
    path = tmp_path / "figures" / name
    ended = lukv_bench("results", "--db", database(SCORES, seeds=(0, 3)), "--plot", path)
    assert ended.code == 0, ended.err
    content = path.read_bytes()
    assert content.startswith(begins)
    assert holds in content
    assert "seeds 0, 3 pooled" in ended.out
    assert "96 samples in all" in ended.out
    assert lukv_bench("results", "--db", tmp_path / "views.db", "--plot", path).code == 0  # its own file is replaced
    if name == "q.HTML":
        assert b"https://cdn" not in content.split(b"</script>")[-1]


def test_the_drawn_numbers_are_the_tables(database: "MakeDatabase") -> None:
    from lukv_bench.bench.api.results import cell_rows, open_results
    from lukv_bench.bench.reports.plot import quality_frame

    with open_results(str(database(SCORES))) as store:
        points, _ = quality_frame(store, cell_rows(store))
    drawn = {(row.allocator, round(row.kept)): row.score for row in points.itertuples()}
    assert drawn == {
        ("full", 100): 100.0,
        ("lukv", 50): pytest.approx(100 * 47 / 48),
        ("lukv", 20): pytest.approx(100 * 32 / 48),
        ("uniform", 50): 0.0,
        ("uniform", 20): 0.0,
    }
    assert ((points["low"] <= points["score"]) & (points["score"] <= points["high"])).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "day"], '--by is task, family or model for these tasks, not "day".'),
        (["--by", "task", "--grid"], "leave --grid out"),
        (["--pareto", "--answers"], "--answers shows answers"),
        (["--latex", "--csv"], "give one of --json"),
        (["--areas", "--by", "task"], "--areas shows methods"),
        (["--areas", "--against", "full"], "leave --against out"),
        (["--areas", "--grid"], "leave --grid out"),
        (["--areas", "--answers"], "leave one of --areas and --answers out"),
        (["--areas", "--plot", "q.png"], "--plot draws every method's scores"),
        (["--delete", "abcd", "--pareto"], "--delete stands alone"),
        (["--plot", "q.pdf"], ".png, .svg and .html"),
        (["--plot", "q.png", "--json"], "--plot draws every method's scores"),
        (["--plot", "."], "--plot writes"),
    ],
)
def test_what_does_not_go_together(board: Path, refused: Callable[..., str], options: list[str], said: str) -> None:
    assert said in refused(["results", "--db", str(board), *options])


def test_a_file_of_another_kind_is_not_replaced(board: Path, refused: Callable[..., str], tmp_path: Path) -> None:
    place = tmp_path / "notes.svg"
    place.write_text("my notes")
    assert "is not a figure" in refused(["results", "--db", str(board), "--plot", str(place)])
    assert place.read_text() == "my notes"


def test_nothing_to_draw(database: "MakeDatabase", refused: Callable[..., str], tmp_path: Path) -> None:
    path = database({"full": {"fwe": [RIGHT]}})
    assert "no complete configuration with a ratio" in refused(
        ["results", "--db", str(path), "--plot", str(tmp_path / "a.svg")]
    )
    assert not (tmp_path / "a.svg").exists()


def test_one_that_lacks_a_single_sample_is_incomplete_everywhere(database: "MakeDatabase", lukv_bench: Any) -> None:
    """In no ranking, on no frontier, under no curve and in no comparison of that task; and every view says so."""
    lacking = "lukv x keydiff, prune 0.5"
    path = database(SCORES)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "DELETE FROM answer WHERE id = (SELECT max(answer.id) FROM answer JOIN cell ON cell.id = cell_id JOIN "
            "configuration ON configuration.id = configuration_id WHERE label = ? AND task = 'fwe')", (lacking,)
        )  # fmt: skip
    connection.close()

    def shown(*options: str) -> tuple[Any, str]:
        view = ("compare", *options) if options[:1] == (lacking,) else ("results", *options)
        text = " ".join(lukv_bench(*view, "--db", path).out.split())
        return lukv_bench(*view, "--db", path, "--json").rows, text

    rows, text = shown()
    (cell,) = (row for row in rows if row["label"] == lacking and row["task"] == "fwe")
    assert {cell[name] for name in ("score", "interval", "gain", "n_documents")} == {None}
    assert "partial (23 of 24)" in text
    for view in (["--by", "task"], ["--by", "family"], ["--by", "model"], ["--pareto"]):
        rows, text = shown(*view)
        assert ("lukv x keydiff", "prune 0.5") not in {(row["method"], row["budget"]) for row in rows}
        assert f"incomplete, not ranked: {lacking}: " in text
        assert "fwe 1024: 23 of 24 samples" in text
    rows, text = shown("--areas")
    assert [row["method"] for row in rows] == ["uniform x keydiff"]
    assert "1 incomplete configurations are left out" in text
    rows, text = shown(lacking, "uniform x keydiff, prune 0.5")
    assert [row["task"] for row in rows] == ["niah_single_1"]
    assert {row["incomplete"] for row in rows} == {"fwe 1024: 23 of 24 samples of A"}
    assert "incomplete, left out: fwe 1024: 23 of 24 samples of A" in text
    drawn = lukv_bench("results", "--db", path, "--plot", path.with_name("quality.svg")).out
    assert "1 incomplete configurations left out" in drawn
    grid = lukv_bench("results", "--db", path, "--grid").out
    assert "partial (23 of 24)" in grid
