"""What a visitor does with a page of the site, and sees on it."""

import csv
import io
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Download, FloatRect, Locator, Page, expect

RANKING = 1
"""Place of the ranking among the tables of the leaderboard that can be saved; the best at each budget come first."""

APP = '[data-testid="stApp"]'
ROW = 35
"""Pixels from row to row of a table."""

TICK, TICKS = 12, 60
"""Pixels into the boxes that tick a row, and beyond them."""

STEP = 7
"""Pixels from a click between two columns to one beside it."""

HEADER_MS = 1000
"""Milliseconds until a header that was hit shows it, as a rule: a click that hits none waits as long."""

FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Ends once what was scrolled is drawn, and the pages' scripts have had the event."""

CLICKS = 40
"""Times that a header is clicked, at most; where none shows it within HEADER_MS, beside the place before."""


class Screen:
    """One page in one browser."""

    def __init__(self, page: Page, site: str) -> None:
        self.page, self.site = page, site

    def go(self, address: str) -> None:
        """Type an address: of the site, or a whole one."""
        self.page.goto(address if "://" in address else f"{self.site}/{address}")
        self.settle()

    def settle(self) -> None:
        """Wait until the server has drawn what it was asked for: nothing runs, and nothing of before is left."""
        self.page.wait_for_selector(f'{APP}[data-test-script-state="notRunning"]')
        expect(self.page.locator('[data-testid="stMain"] [data-stale="true"]')).to_have_count(0)
        expect(self.page.locator('[data-testid="stMain"] [data-testid="stSkeleton"]')).to_have_count(0)
        expect(self.page.locator('[data-testid="stMain"] [data-testid="stSpinner"]')).to_have_count(0)

    @property
    def main(self) -> Locator:
        """The page without navigation and filters."""
        return self.page.get_by_test_id("stMain")

    @property
    def sidebar(self) -> Locator:
        """Navigation and filters."""
        return self.page.get_by_test_id("stSidebar")

    @property
    def downloads(self) -> Locator:
        """The buttons that save tables."""
        return self.main.get_by_role("button", name="Download CSV")

    @property
    def plots(self) -> Locator:
        return self.main.locator(".js-plotly-plot")

    @property
    def exceptions(self) -> Locator:
        """What Streamlit shows where a script failed."""
        return self.page.get_by_test_id("stException")

    def titles(self) -> list[str]:
        """The pages that the navigation offers."""
        return self.page.get_by_test_id("stSidebarNav").get_by_role("link").all_inner_texts()

    def follow(self, title: str) -> None:
        """Click a page's name in the navigation."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
        expect(self.main.get_by_role("heading", level=1)).to_have_text(title)
        self.settle()

    def choose(self, label: str, *values: str) -> None:
        """Pick values of a filter, or of any other list, none of which is chosen yet."""
        for value in values:
            self.settle()
            self._pick_from_list(label, value)
            self.settle()

    def _pick_from_list(self, label: str, value: str) -> None:
        before = self.page.url
        self._click_in_sight(self.page.get_by_label(label, exact=True))
        self._click_in_sight(self.page.get_by_role("option", name=value, exact=True))
        expect(self.page).not_to_have_url(before)
        self.page.keyboard.press("Escape")

    def _click_in_sight(self, element: Locator) -> None:
        """Scroll to an element, and click it then: what is scrolled under a click closes lists and swallows choices."""
        element.scroll_into_view_if_needed()
        self.page.evaluate(FRAMES)
        element.click()

    def type_and_choose(self, label: str, value: str) -> None:
        """Pick a value of a long list, which shows those that match what is typed."""
        field = self.page.get_by_label(label, exact=True)
        self._click_in_sight(field)
        field.fill(value)
        self._click_in_sight(self.page.get_by_role("option", name=value, exact=True))
        expect(field).to_have_value(value)
        self.settle()

    def pick(self, name: str) -> None:
        """Click one of a few options that stand side by side."""
        self.main.get_by_role("radio", name=name, exact=True).click()
        self.settle()

    def value_of(self, label: str) -> str:
        """What a list shows as chosen."""
        return self.main.get_by_label(label, exact=True).input_value()

    def command(self) -> str:
        """The command under the results, which is the last of the page."""
        return self.main.get_by_test_id("stCode").last.inner_text().strip()

    def grid(self, position: int = 0) -> Locator:
        """The table at a position of the page."""
        grid = self.main.get_by_test_id("data-grid-canvas").nth(position)
        grid.scroll_into_view_if_needed()
        return grid

    def box(self, element: Locator) -> FloatRect:
        """Where an element stands now, in pixels of the window."""
        box = element.bounding_box()
        assert box is not None
        return box

    def rows(self, position: int = 0) -> list[dict[str, str]]:
        """The rows of a table that are in sight, by column."""
        grid = self.grid(position)
        expect(grid.locator("tbody tr")).not_to_have_count(0)
        heads = [head.lstrip("↑↓ ") for head in grid.locator("th").all_text_contents()]
        found = [row.locator("td").all_text_contents() for row in grid.locator("tbody tr").all()]
        return [dict(zip(heads, cells, strict=True)) for cells in found]

    def tick(self, row: int, position: int = 0) -> None:
        """Tick a row of a table, counted from 0."""
        box = self.box(self.grid(position))
        self.page.mouse.click(box["x"] + TICK, box["y"] + ROW * (row + 1.5))
        self.settle()

    def sort(self, column: str, position: int = 0) -> tuple[str, list[str]]:
        """Click the header of a column; gives the arrow that it shows then and the column, as far as it is in sight.

        A table is drawn on a canvas, which does not tell where a column is: the arrow shows which one a click has hit,
        and whether the column wanted is to its left or right. Between two columns a click hits none.
        """
        grid = self.grid(position)
        heads = grid.locator("th")
        names = [head.lstrip("↑↓ ") for head in heads.all_text_contents()]
        has_ticks = grid.get_by_test_id("glide-cell-0-0").count() == 0  # before the first column
        left, right = TICKS if has_ticks else 0, int(self.box(grid)["width"])
        shift = 0
        for _ in range(CLICKS):
            before = heads.all_text_contents()
            x = (left + right) // 2 + shift
            box = self.box(grid)  # anew: what stands above may have grown
            self.page.mouse.click(box["x"] + x, box["y"] + ROW // 2)
            with suppress(AssertionError):
                expect(heads).not_to_have_text(before, timeout=HEADER_MS)
            after = heads.all_text_contents()
            if after == before:
                shift = -shift if shift > 0 else STEP - shift
                continue
            shift = 0
            hit = next((place for place, head in enumerate(after) if head[:1] in ("↑", "↓")), None)
            if hit is None:
                continue  # a column's third click takes the order back
            if names[hit] == column:
                return after[hit][0], [row[column] for row in self.rows(position)]
            left, right = (x, right) if hit < names.index(column) else (left, x)
        raise AssertionError(f"no column {column}: {heads.all_text_contents()}")

    def download(self, button: Locator) -> Path:
        """Click what saves a file; gives the file."""
        with self.page.expect_download() as saving:
            button.click()
        saved: Download = saving.value
        return Path(saved.path())

    def csv(self, position: int = 0) -> list[dict[str, str]]:
        """The rows of a table as its button saves them."""
        text = self.download(self.downloads.nth(position)).read_text(encoding="utf-8-sig")
        return list(csv.DictReader(io.StringIO(text)))

    def plot(self, position: int = 0) -> Locator:
        """A figure at a position of the page, drawn."""
        plot = self.plots.nth(position)
        expect(plot.locator("svg.main-svg").first).to_be_visible()
        return plot

    def image(self, position: int = 0) -> Path:
        """A figure as its own button saves it."""
        plot = self.plot(position)
        plot.hover()
        return self.download(plot.locator('.modebar-btn[data-title^="Download plot"]'))

    def content(self) -> str:
        """Every word of the page, and every cell in sight, to be compared with another visitor's."""
        self.settle()
        grids = self.main.get_by_test_id("data-grid-canvas")
        cells = [grids.nth(at).locator("table").inner_text() for at in range(grids.count())]
        return "\n".join([self.main.inner_text(), *cells])
