"""The page that says which method to take, as a visitor meets it."""

from playwright.sync_api import expect

from .conftest import Visitors


def test_a_visitor_asks_for_a_memory_and_sends_the_link(visitors: Visitors) -> None:
    screen = visitors.open("recommend")
    expect(screen.main.get_by_role("heading", level=1)).to_have_text("Recommend")
    for label, typed in {"Context length": "1280", "Memory": "30MiB", "Quality to keep": "90%"}.items():
        screen.main.get_by_label(label, exact=True).fill(typed)
        screen.page.keyboard.press("Enter")
        screen.settle()
    expect(screen.main.get_by_text("30.00 MiB hold 682 tokens a head")).to_be_visible()
    expect(screen.main.get_by_text("Nothing is sure to keep 90%")).to_be_visible()
    rows = screen.csv()
    assert max(float(row["kv_mib"]) for row in rows) <= 30
    assert rows[0]["standing"] == "met so far"
    assert screen.rows()[0]["Standing"] == "met so far"
    assert screen.command() == rows[0]["command"]
    fresh = visitors.open(screen.page.url)
    assert fresh.content() == screen.content()
