"""Every page of the site over the example that ships, walked by a visitor with a mouse."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import Visitors
from .screen import RANKING, Screen

PAGES = ("Leaderboard", "Trade-offs", "Tasks", "Budgets", "Compare", "Samples", "Methods", "About the numbers")


@pytest.fixture
def screen(visitors: Visitors) -> Screen:
    return visitors.open()


def test_the_navigation_leads_to_every_page_and_every_button_saves_what_it_stands_under(screen: Screen) -> None:
    assert tuple(screen.titles()) == PAGES
    n_tables = n_figures = 0
    for title in PAGES:
        screen.follow(title)
        assert screen.exceptions.count() == 0, title
        for position in range(screen.downloads.count()):
            assert screen.csv(position), f"{title}: table {position} was saved without a row"
            n_tables += 1
        for position in range(screen.plots.count()):
            assert screen.image(position).read_bytes().startswith(b"\x89PNG"), f"{title}: figure {position}"
            n_figures += 1
        screen.settle()
        assert screen.exceptions.count() == 0, title
    assert n_tables > len(PAGES)
    assert n_figures > 2


def test_a_filter_cuts_the_ranking_down_and_says_how_many_results_are_left(screen: Screen) -> None:
    whole = screen.csv(RANKING)
    assert f"All {sum(int(row['n_tasks']) for row in whole)} results." in screen.sidebar.inner_text()
    screen.choose("Scorers", "snapkv")
    screen.choose("Budgets", "prune 0.5", "prune 0.9")
    left = screen.csv(RANKING)
    wanted = [row for row in whole if row["method"].endswith("x snapkv")]
    assert left == [row for row in wanted if row["budget"] in ("prune 0.5", "prune 0.9")]
    assert 0 < len(left) < len(wanted)
    n_left = sum(int(row["n_tasks"]) for row in left)
    assert f"{n_left} of {2 * len(whole)} results left by the filters." in screen.sidebar.inner_text()


def test_a_click_on_a_column_sorts_the_table(screen: Screen) -> None:
    screen.choose("Scorers", "snapkv")
    before = screen.rows()
    arrow, scores = screen.sort("Score")
    assert scores == sorted(scores, key=float, reverse=arrow == "↓")
    assert scores != [row["Score"] for row in before] or arrow == "↓"
    arrow, methods = screen.sort("Method")
    assert methods == sorted(methods, reverse=arrow == "↓")
    assert methods != [row["Method"] for row in before]


def test_a_row_that_is_ticked_shows_its_results_and_its_command(screen: Screen) -> None:
    row = screen.csv(RANKING)[2]
    screen.tick(2)
    allocator, scorer = row["method"].split(" x ")
    command = screen.main.get_by_test_id("stCode").last
    expect(command).to_contain_text(f"--allocator {allocator} --scorer {scorer} ")
    expect(command).to_contain_text(f"--ratio {row['budget'].removeprefix('prune ')}")
    assert screen.command().startswith("lukv-bench run ")
    expect(screen.main.get_by_label("Configuration", exact=True)).to_have_value(re.compile(re.escape(row["method"])))


def test_a_link_opens_the_same_view_in_a_fresh_browser(visitors: Visitors, screen: Screen) -> None:
    screen.choose("Scorers", "snapkv")
    screen.choose("Budgets", "prune 0.8")
    fresh = visitors.open()
    for title in PAGES:
        screen.follow(title)
        if title == "Trade-offs":
            screen.pick("bytes")
        fresh.go(screen.page.url)
        assert "snapkv" in fresh.page.url
        assert fresh.content() == screen.content(), title
