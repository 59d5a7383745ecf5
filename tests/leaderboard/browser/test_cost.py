"""The page of measured costs, as a visitor meets it."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from ..measured_database import CARD, DESKTOP
from .conftest import Serve, Served, Visitors


def test_a_visitor_ranks_one_machine_saves_its_table_and_sends_a_link(
    serve: Serve, visitors_of: Callable[[Served], Visitors], measured: Path
) -> None:
    with serve(measured) as served:
        visitors = visitors_of(served)
        screen = visitors.open("cost?measured=niah+1280")
        expect(screen.main.get_by_role("heading", level=1)).to_have_text("Cost")
        screen.choose("Machine", DESKTOP)
        rows = screen.csv()
        assert [row["allocator"] for row in rows] == ["uniform", "lukv", "adakv", "full"]
        assert [row["rank"] for row in rows] == ["1", "1", "3", "4"]
        assert {row["machine"] for row in rows} == {DESKTOP}
        screen.pick("KV footprint")
        assert {row["rank"] for row in screen.csv()} == {"1"}
        assert screen.plots.count() == 1
        assert visitors.open(screen.page.url).content() == screen.content()
        screen.choose("Machine", CARD)
        assert {row["machine"] for row in screen.csv()} == {CARD}
