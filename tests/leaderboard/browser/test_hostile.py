"""A database that a stranger filled, in a browser: every text is shown, and none of them does anything."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from lukv_bench.leaderboard import text
from lukv_bench.leaderboard.site import STYLE
from lukv_bench.leaderboard.tables.methods import page_title

from ..hostile import HOSTILE
from ..hostile_database import TASK, write_hostile_texts
from ..test_text import is_formula
from .conftest import Serve, Served, Visitors
from .screen import Screen

EVERYTHING = HOSTILE["everything"]
SHOWN_WHOLE = ("script", "html", "svg", "markdown_image", "markdown_link", "latex", "plotly_html", "formula_equals")
NUMBER = [*HOSTILE].index("everything")

SPECIAL = """style => {
  const page = document.querySelector('#root');
  const found = [...page.querySelectorAll(
    'script, img, iframe, object, embed, form, base, meta, style, [onload], [onerror], [onclick], [srcdoc], .katex,'
    + '.js-plotly-plot a, .js-plotly-plot b, .hoverlayer a'
  )].filter(each => each.textContent.trim() !== style).map(each => each.outerHTML.slice(0, 200));
  const links = [...page.querySelectorAll('a')].filter(
    each => new URL(each.getAttribute('href') ?? '', location).origin !== location.origin
  );
  return [...found, ...links.map(each => each.outerHTML.slice(0, 200))];
}"""
"""Elements that no page of the site has but for its style, so that they came from a text."""


@pytest.fixture(scope="module")
def hostile_site(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(write_hostile_texts(tmp_path_factory.mktemp("hostile") / "texts.db")) as served:
        yield served


class Guard:
    """Notes whatever a text has done to a page."""

    def __init__(self, screen: Screen) -> None:
        self._screen, self.found = screen, list[str]()
        page = screen.page
        page.on("dialog", lambda dialog: self.found.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("popup", lambda popup: self.found.append(f"popup: {popup.url}"))

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc not in self._screen.site:
            self.found.append(f"request: {url}")

    def check(self, what: str) -> None:
        """Nothing has happened so far, and nothing stands on the page that a text has put there."""
        page = self._screen.page
        self.found += [f"script ran in {frame.url}" for frame in page.frames if frame.evaluate("window.__hostile")]
        self.found += page.evaluate(SPECIAL, STYLE.read_text().strip())
        assert not self.found, (what, self.found)
        assert self._screen.exceptions.count() == 0, what
        expect(self._screen.main.get_by_role("heading", level=1)).to_have_count(1)
        expect(self._screen.main.get_by_role("heading", level=1)).to_be_visible()


@pytest.fixture
def screen(hostile_site: Served, visitors_of: Callable[[Served], Visitors]) -> Screen:
    return visitors_of(hostile_site).open()


@pytest.fixture
def guard(screen: Screen) -> Guard:
    return Guard(screen)


def link(page: str, /, **parameters: str) -> str:
    return f"{page}?{urlencode(parameters, errors='replace')}"


def test_hostile_rows_are_text_on_every_page(screen: Screen, guard: Guard) -> None:
    place, name = f"{TASK} 1024", text.line(f"{EVERYTHING} x {EVERYTHING}, prune 0.8")
    method = text.line(
        page_title(
            {"kind": "allocator", "name": EVERYTHING, "distribution": EVERYTHING[:100], "version": f"1.{NUMBER}"}
        )
    )
    sample = f"sample {NUMBER}: {text.line(' | '.join([EVERYTHING, 'right']), 40)}"
    pages = {
        "": "Leaderboard",
        link("", task=TASK): "Leaderboard",
        link("tradeoffs", task=TASK): "Trade-offs",
        "tasks": "Tasks",
        link("budgets", place=place, b=name): "Budgets",
        link("compare", a="uniform x keydiff, prune 0.8", b=name, task=TASK): "Compare",
        link("samples", place=place, sample=sample, counts="true"): "Samples",
        link("methods", method=method): "Methods",
        "about": "About the numbers",
    }
    n_saved = 0
    for address, title in pages.items():
        screen.go(address)
        expect(screen.main.get_by_role("heading", level=1)).to_have_text(title)
        for position in range(screen.plots.count()):
            screen.plot(position)
        guard.check(address)
        for position in range(screen.downloads.count()):
            for row in screen.csv(position):
                n_saved += 1
                assert not [value for value in row.values() if is_formula(value)], address
    assert n_saved > 5 * len(HOSTILE)

    screen.go(link("samples", place=place, sample=sample))
    answers = screen.main.get_by_test_id("stCode")
    for each in SHOWN_WHOLE:
        assert HOSTILE[each] in answers.nth(1).inner_text(), each
    assert "evil.example" in "".join(row["Reference"] for row in screen.rows())
    guard.check("answers")


def test_a_hostile_name_is_text_in_a_figure_and_beside_the_mouse(screen: Screen, guard: Guard) -> None:
    screen.go("tasks")
    plot = screen.plot()
    number = plot.evaluate("each => each.data.at(-1).y.findIndex(name => name.includes('&lt;'))")
    mark = plot.locator(".scatterlayer .trace").last.locator(".point").nth(number)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    assert box is not None
    for step in (3, 0):
        screen.page.mouse.move(box["x"] + box["width"] / 2 - step, box["y"] + box["height"] / 2 - step)
    shown = screen.page.locator(".hoverlayer .hovertext").first
    expect(shown).to_be_visible()
    expect(shown).to_contain_text("<")
    guard.check("hover on a map")


def test_a_hostile_link_is_named_as_text_and_does_nothing(screen: Screen, guard: Guard) -> None:
    texts = [HOSTILE[each] for each in ("script", "markdown_link", "svg", "everything")]
    for page, keys in {
        "": ("setting", "task", "configuration", "embed_options"),
        "compare": ("a", "b", "flips", "scorer"),
        "samples": ("place", "search", "samples_of", "page"),
        "methods": ("method", "<b>", "allocator", "theme"),
    }.items():
        screen.go(link(page, **dict(zip(keys, (each[:1500] for each in texts), strict=True))))
        guard.check(page)
        if page != "methods":
            expect(screen.page.get_by_text("the link's choice was left out").first).to_be_visible()
            assert "window.__hostile" in screen.page.locator("body").inner_text()
