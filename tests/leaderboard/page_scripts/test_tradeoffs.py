"""The trade-offs page."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def drawn(site: AppTest) -> set[str]:
    """The methods and budgets that the frontier's figure names."""
    figures = [json.loads(chart.proto.spec) for chart in site.get("plotly_chart")]
    (frontier,) = (each for each in figures if any(trace.get("name") == "frontier" for trace in each["data"]))
    return {point[0] for trace in frontier["data"] for point in trace.get("customdata", ())}


def test_a_filter_leaves_its_configurations_alone_in_the_figures_and_taking_it_away_brings_all_back(
    filled: Path, visit: Visit
) -> None:
    site = visit(filled, "tradeoffs")
    everything = drawn(site)
    site.multiselect(key="allocator").set_value(["lukv"]).run()
    assert drawn(site) == {name for name in everything if name.startswith("lukv")} < everything
    site.multiselect(key="allocator").set_value([]).run()
    assert drawn(site) == everything
    assert not site.exception


def test_the_panel_of_the_best_is_drawn_at_first_and_those_that_are_chosen_instead(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tradeoffs")
    assert len(site.get("plotly_chart")) == 2
    assert site.subheader[0].value == "keydiff"
    site.multiselect(key="scorer_panels").set_value(["keydiff", "snapkv"]).run()
    assert len(site.get("plotly_chart")) == 3
    assert [each.value for each in site.subheader] == ["keydiff", "snapkv"]
    assert len(visit(filled, "tradeoffs", scorer_panels="snapkv").get("plotly_chart")) == 2
    assert not site.exception


def test_other_bytes_and_panels_are_other_figures(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tradeoffs")
    before = [chart.proto.spec for chart in site.get("plotly_chart")]
    site.button_group(key="against").set_value("bytes").run()
    in_bytes = [chart.proto.spec for chart in site.get("plotly_chart")]
    site.button_group(key="panels").set_value("by allocator").run()
    by_allocator = [chart.proto.spec for chart in site.get("plotly_chart")]
    assert len({*before, *in_bytes, *by_allocator}) == len(before) + len(in_bytes) + len(by_allocator) - 1
    assert not site.exception


def test_areas_and_the_band_stand_in_tables(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tradeoffs")
    assert not site.exception
    tables = [each.value for each in site.dataframe]
    (frontier,) = (table for table in tables if "Frontier low" in table)
    assert (frontier["Frontier low"] <= frontier["95% low"] + 0.5).all()
    assert (frontier["Frontier high"] >= frontier["95% high"] - 1e-9).all()
    (areas,) = (table for table in tables if "Area" in table)
    assert areas["Area"].is_monotonic_decreasing
    assert "Budgets" not in areas  # all have the same, which the caption names
    assert any(r"the budgets prune 0\.5\, prune 0\.8" in caption.value for caption in site.caption)


def test_the_figures_show_kl_where_it_was_measured(filled: Path, visit: Visit, tmp_path: Path) -> None:
    assert [group.options for group in visit(filled, "tradeoffs").button_group if group.key == "measure"] == [["score"]]
    path = tmp_path / "measured.db"
    shutil.copy(filled, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO fidelity (answer_id, n_tokens, kl_nats, agreement) SELECT id, 4, 0.25, 0.75 FROM answer"
        )
        connection.commit()
    site = visit(path, "tradeoffs")
    before = site.get("plotly_chart")[0].proto.spec
    site.button_group(key="measure").set_value("KL").run()
    lines = json.loads(site.get("plotly_chart")[0].proto.spec)
    assert (lines["layout"]["yaxis"]["type"], before == json.dumps(lines)) == ("log", False)
    assert {y for trace in lines["data"] for y in trace["y"]} == {0.25}
    assert any("logarithmic" in caption.value for caption in site.caption)
    assert not site.exception
