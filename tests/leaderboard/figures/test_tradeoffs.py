"""Quality against budget, drawn."""

import pandas as pd
import pytest

from lukv_bench.leaderboard.figures.fidelity import divergence_lines
from lukv_bench.leaderboard.figures.tradeoffs import frontier_figure, quality_lines
from lukv_bench.leaderboard.theme import styles


@pytest.fixture
def points() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": ["<b>a</b>", "a2", "b"],
            "allocator": ["a", "a", "b"],
            "kept_percent": [50.0, 20.0, 75.0],
            "score": [90.0, 60.0, 40.0],
            "interval_low": [80.0, 50.0, 30.0],
            "interval_high": [95.0, 70.0, 50.0],
            "is_frontier": [True, True, False],
            "frontier_low": [78.0, 45.0, 77.0],
            "frontier_high": [95.0, 70.0, 95.0],
        }
    )


def test_a_line_for_each_method_from_the_smallest_budget(points: pd.DataFrame) -> None:
    figure = quality_lines(points, "kept_percent", "allocator", styles(points["allocator"]), full=95.0)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert list(lines) == ["a", "b"]
    assert list(lines["a"].x) == [20.0, 50.0]
    assert list(lines["a"].y) == [60.0, 90.0]


def test_a_band_reaches_from_low_to_high(points: pd.DataFrame) -> None:
    figure = quality_lines(points, "kept_percent", "allocator", styles(points["allocator"]))
    band = next(trace for trace in figure.data if trace.fill == "toself")
    assert list(band.x) == [20.0, 50.0, 50.0, 20.0]
    assert list(band.y) == [70.0, 95.0, 80.0, 50.0]


def test_lines_differ_by_more_than_colour() -> None:
    looks = styles([f"method {n}" for n in range(8)]).values()
    assert len({look["colour"] for look in looks}) == len({look["marker"] for look in looks}) == 8


def test_names_of_the_database_are_no_html(points: pd.DataFrame) -> None:
    assert "<b>" not in str(frontier_figure(points, "kept_percent").to_json())


def test_the_frontier_stands_in_its_band(points: pd.DataFrame) -> None:
    low, high, _, stair, rest = frontier_figure(points, "kept_percent").data
    assert (list(stair.x), list(stair.y)) == ([20.0, 50.0], [60.0, 90.0])
    assert (list(rest.x), list(rest.y)) == ([50.0, 75.0], [90.0, 90.0])
    assert [list(end.x) for end in (low, high)] == [[20.0, 50.0, 75.0]] * 2
    assert (list(low.y), list(high.y)) == ([45.0, 78.0, 77.0], [70.0, 95.0, 95.0])
    assert high.fill == "tonexty"
    assert {each.line.shape for each in (low, high, stair)} == {"hv"}


def test_divergence_is_drawn_on_a_logarithm_without_what_has_none(points: pd.DataFrame) -> None:
    measured = points.assign(kl_nats=[0.01, 0.5, None])
    figure = divergence_lines(measured, "kept_percent", "allocator", styles(points["allocator"]))
    (line,) = figure.data
    assert (list(line.x), list(line.y)) == ([20.0, 50.0], [0.5, 0.01])
    assert figure.layout.yaxis.type == "log"
    assert line.customdata[1][0] == "&lt;b&gt;a&lt;/b&gt;"
