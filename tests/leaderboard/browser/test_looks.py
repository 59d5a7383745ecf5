"""The site on a phone, light and dark: nothing is cut, covered, too pale or too small to tap; and on a desktop."""

from contextlib import suppress

from playwright.sync_api import TimeoutError

from .conftest import Visitors
from .measures import COVERED, CUT, PALE, SIDEWAYS, SMALL, WIDER
from .screen import Screen

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ADDRESSES = ("", "tradeoffs", "tasks", "budgets", "compare", "samples", "methods", "about")
LEAST_TAP_PX = 44

HAS_SCHEME = """scheme => {
  const app = document.querySelector('[data-testid="stApp"]');
  return getComputedStyle(app).colorScheme.includes(scheme);
}"""


def faults(screen: Screen) -> list[str]:
    page = screen.page
    small = page.evaluate(SMALL, LEAST_TAP_PX)
    found = {"sideways": page.evaluate(SIDEWAYS), "pale": page.evaluate(PALE), "covered": page.evaluate(COVERED)}
    return [f"{kind}: {each}" for kind, every in (found | {"small": small}).items() for each in every]


def once_drawn(screen: Screen) -> list[str]:
    """What is still too pale when figures have had time to take the colours of the other scheme."""
    with suppress(TimeoutError):
        screen.page.wait_for_function(f"!({PALE})().length", timeout=30_000)
    return list(screen.page.evaluate(PALE))


def test_every_page_is_readable_on_a_phone_light_and_dark(visitors: Visitors) -> None:
    scheme, other = "light", "dark"
    screen = visitors.open(color_scheme=scheme, **PHONE)
    page, found = screen.page, {}
    for address in ADDRESSES:
        screen.go(address)
        for position in range(screen.plots.count()):
            screen.plot(position)
        page.wait_for_function(HAS_SCHEME, arg=scheme)
        found[address, scheme] = faults(screen)
        scheme, other = other, scheme  # the next page is opened in the other one
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(HAS_SCHEME, arg=scheme)
        found[address, scheme] = once_drawn(screen)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.wait_for_function("document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().left >= 0")
    found["sidebar", scheme] = [*page.evaluate(CUT), *page.evaluate(SMALL, LEAST_TAP_PX), *page.evaluate(PALE)]
    assert not {where: every for where, every in found.items() if every}


def test_a_desktop_shows_filters_and_tables_in_full(visitors: Visitors) -> None:
    screen = visitors.open()
    for address in ("tradeoffs", "compare", "budgets", "", "?columns=Fidelity"):
        screen.go(address)
        found = {name: screen.page.evaluate(name) for name in (CUT, COVERED, WIDER)}
        assert not any(found.values()), (address, [*found.values()])
