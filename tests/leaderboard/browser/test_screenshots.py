"""The README's pictures of the site."""

from pathlib import Path

import pytest

from .conftest import Visitors

MOST_BYTES = 400_000


def test_pages_are_photographed(visitors: Visitors, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder: Path = request.config.getoption("--screenshots", default=None) or tmp_path
    screen = visitors.open()
    for title in ("Leaderboard", "Trade-offs"):
        screen.follow(title)
        for position in range(min(2, screen.plots.count())):
            screen.plot(position)
        picture = folder.resolve() / f"{title.lower()}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        screen.main.get_by_role("heading", level=1).scroll_into_view_if_needed()
        screen.page.screenshot(path=picture)
        assert 0 < picture.stat().st_size < MOST_BYTES
