"""Every page of the site over the example that ships, walked by a visitor with a mouse."""

import lzma
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lukv_bench.leaderboard import site

from .conftest import Served, Visitors
from .screen import RANKING, Screen

EXAMPLE = Path(site.__file__).with_name("example.db.xz")
PAGES = (
    *("Leaderboard", "Trade-offs", "Recommend", "Cost", "Tasks", "Evidence", "Budgets", "Compare", "Samples"),
    *("Methods", "About the numbers"),
)


@pytest.fixture(scope="module")
def walkers(browser: Browser, example: Served) -> Iterator[Visitors]:
    visitors = Visitors(browser, example)
    yield visitors
    visitors.close()


@pytest.fixture(scope="module")
def opened(walkers: Visitors) -> Screen:
    """One page for all tests: Streamlit's program is fetched and compiled once."""
    return walkers.open()


@pytest.fixture
def screen(walkers: Visitors, opened: Screen) -> Iterator[Screen]:
    """That page, loaded anew: a session of its own, with nothing chosen. Nothing must go wrong on it."""
    opened.go("")
    yield opened
    assert not walkers.faults.all()


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


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example that ships, as a database file."""
    path = tmp_path_factory.mktemp("example") / "example.db"
    path.write_bytes(lzma.decompress(EXAMPLE.read_bytes()))
    return path


def n_results(record: Path, condition: str) -> int:
    """The cells whose configuration meets an SQL condition; oracles are among them, though ranked nowhere."""
    with closing(sqlite3.connect(record)) as opened:
        query = f"SELECT count(*) FROM cell JOIN configuration ON configuration_id = configuration.id WHERE {condition}"
        return int(opened.execute(query).fetchone()[0])


def test_a_filter_cuts_the_ranking_down_and_says_how_many_results_are_left(screen: Screen, record: Path) -> None:
    whole = screen.csv(RANKING)
    n_all = n_results(record, "true")
    assert f"All {n_all} results." in screen.sidebar.inner_text()
    screen.choose("Scorers", "snapkv")
    expect(screen.page).to_have_url(re.compile("snapkv"))
    screen.choose("Budgets", "prune 0.5", "prune 0.9")
    expect(screen.page).to_have_url(re.compile(r"0\.9"))
    expect(screen.sidebar.get_by_text("results left by the filters")).to_be_visible()
    screen.settle()
    left = screen.csv(RANKING)
    wanted = [row for row in whole if row["method"].endswith("x snapkv")]
    assert left == [row for row in wanted if row["budget"] in ("prune 0.5", "prune 0.9")]
    assert 0 < len(left) < len(wanted)
    n_left = n_results(record, "scorer = 'snapkv' AND ratio IN (0.5, 0.9)")
    assert f"{n_left} of {n_all} results left by the filters." in screen.sidebar.inner_text()


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
    expect(screen.page).to_have_url(re.compile("snapkv"))
    screen.choose("Budgets", "prune 0.8")
    expect(screen.page).to_have_url(re.compile(r"0\.8"))
    fresh = visitors.open()
    for title in PAGES:
        screen.follow(title)
        if title == "Trade-offs":
            screen.pick("bytes")
        fresh.go(screen.page.url)
        assert "snapkv" in fresh.page.url
        assert fresh.content() == screen.content(), title


def test_a_click_on_the_map_leads_to_that_configuration_on_that_task(screen: Screen) -> None:
    screen.follow("Tasks")
    row = screen.csv()[5]
    name, place = next(iter(row.values())), [*row][-1]
    n_places = sum(each.endswith(" 1280") for each in row)
    mark = screen.plot().locator(".scatterlayer .trace").last.locator(".point").nth(n_places * 6 - 1)
    mark.scroll_into_view_if_needed()
    field = mark.bounding_box()
    assert field is not None
    screen.page.mouse.click(field["x"] + 2 * field["width"], field["y"] + field["height"] / 2)  # beside its number
    expect(screen.main.get_by_label("Configuration", exact=True)).to_have_value(name)
    assert screen.value_of("Task and length") == place
    screen.main.get_by_role("link", name="Its samples of this task").click()
    expect(screen.main.get_by_role("heading", level=1)).to_have_text("Samples")
    screen.settle()
    assert screen.value_of("Task") == place
    expect(screen.main.get_by_text(name, exact=True).last).to_be_visible()


def test_two_configurations_are_compared_down_to_the_answers_that_flipped(visitors: Visitors, screen: Screen) -> None:
    scores = {f"{row['method']}, {row['budget']}": float(row["score"]) for row in screen.csv(RANKING)}
    a, b = "global x keydiff, prune 0.5", "lukv x knorm, prune 0.75"
    screen.follow("Compare")
    screen.type_and_choose("Configuration A", a)
    screen.type_and_choose("Configuration B", b)
    whole = screen.csv()[-1]
    assert whole["task"] == "all tasks"
    assert [float(whole["score_a"]), float(whole["score_b"])] == pytest.approx([scores[a], scores[b]])
    assert float(whole["difference"]) == pytest.approx(scores[b] - scores[a])
    assert float(screen.rows()[-1]["B less A"]) == pytest.approx(scores[b] - scores[a])
    assert screen.rows()[-1]["Length"] == ""

    screen.pick("lost by B")
    expect(screen.main.get_by_text(f"{whole['lost']} of the ", exact=False)).to_be_visible()
    flips = screen.csv(1)
    assert len(flips) == int(whole["lost"]) > 0
    assert {float(row["difference"]) < 0 for row in flips} == {True}
    for title in (f"A: {a}", f"B: {b}"):
        expect(screen.main.get_by_text(title, exact=True)).to_be_visible()
    expect(screen.main.get_by_text("score 100.0", exact=False).first).to_be_visible()
    fresh = visitors.open(screen.page.url)
    assert fresh.content() == screen.content()
    assert fresh.csv(1) == flips
