"""The page of evidence, as a visitor meets it."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from .conftest import Serve, Served, Visitors


def test_a_visitor_sees_what_was_kept_and_saves_the_table(
    serve: Serve, visitors_of: Callable[[Served], Visitors], evidenced: Path
) -> None:
    with serve(evidenced) as served:
        screen = visitors_of(served).open("evidence?place=niah+1280")
        expect(screen.main.get_by_role("heading", level=1)).to_have_text("Evidence")
        assert screen.plots.count() == 2
        screen.choose("Task and length", "niah 2560")
        rows = screen.csv()
        assert [(row["length"], row["budget"]) for row in rows] == [
            (length, budget) for length in ("1280", "2560") for budget in ("-", "prune 0.5", "prune 0.8")
        ]
        for row in rows:
            assert round(sum(float(row[outcome]) for outcome in ("found", "miscopied", "missed"))) == 100


def test_a_visitor_sees_scores_between_floors_and_oracles(
    serve: Serve, visitors_of: Callable[[Served], Visitors], ceilinged: Path
) -> None:
    with serve(ceilinged) as served:
        screen = visitors_of(served).open("evidence?place=niah+1280")
        expect(screen.main.get_by_role("heading", name="Floors and ceilings")).to_be_visible()
        assert screen.plots.count() == 1
        rows = screen.csv()
        assert {row["kind"] for row in rows} == {"floor", "method", "oracle"}
        best = {row["budget"]: row["name"] for row in rows if row["is_best"] == "True"}
        assert best == {budget: f"lukv x keydiff, {budget}" for budget in ("prune 0.5", "prune 0.8")}
