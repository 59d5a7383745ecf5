"""The README's pictures of the site."""

from pathlib import Path

import pytest

from .conftest import Visitors

MOST_BYTES = 400_000


@pytest.mark.parametrize("title", ["Leaderboard", "Trade-offs"])
def test_a_page_is_photographed(visitors: Visitors, title: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder: Path = request.config.getoption("--screenshots", default=None) or tmp_path
    screen = visitors.open()
    screen.follow(title)
    for position in range(min(2, screen.plots.count())):
        screen.plot(position)
    picture = folder.resolve() / f"{title.lower()}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    screen.main.get_by_role("heading", level=1).scroll_into_view_if_needed()
    screen.page.screenshot(path=picture)
    assert 0 < picture.stat().st_size < MOST_BYTES
