"""Visits of every page of the leaderboard without a browser: the server's script for a view and for a filter."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from streamlit.testing.v1 import AppTest

import lukv_bench.leaderboard.site as site_module

_APP = Path(site_module.__file__).with_name("app.py")
_WIDGETS = ("selectbox", "multiselect", "radio", "segmented_control", "pills", "checkbox", "toggle", "text_input")


def visits(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """(name, call) of every page, and of every page with each of its filters and choices set to something else."""
    os.environ["LUKV_BENCH_SITE_DATABASE"] = str(path)
    for page in site_module.PAGES:
        if not (_APP.parent / "page_scripts" / f"{page}.py").exists():
            continue
        yield page, lambda page=page: _opened(page)  # type: ignore[misc]  # bound in this turn
        for kind, key in _choices(_opened(page)):
            site = _opened(page)
            if _choose(site, kind, key):
                yield f"{page}, {key}", lambda site=site: _checked(site.run())  # type: ignore[misc]


def _opened(page: str) -> AppTest:
    site = AppTest.from_file(str(_APP), default_timeout=600)
    site.switch_page(f"page_scripts/{page}.py")
    return _checked(site.run())


def _checked(site: AppTest) -> AppTest:
    if site.exception:
        raise RuntimeError(f"a page failed: {site.exception[0].value}")
    return site


def _choices(site: AppTest) -> list[tuple[str, str]]:
    """(kind, key) of every widget that has a key."""
    return [(kind, str(widget.key)) for kind in _WIDGETS for widget in site.get(kind) if widget.key]


def _choose(site: AppTest, kind: str, key: str) -> bool:
    """Set a widget to another value; False where it offers none."""
    (widget,) = (each for each in site.get(kind) if each.key == key)
    if widget.disabled:
        return False
    if kind in ("checkbox", "toggle"):
        widget.set_value(not widget.value)
    elif kind == "text_input":
        widget.set_value("7")
    elif kind == "multiselect":
        widget.set_value(list(widget.options[:1]))
    else:
        others = [option for option in widget.options if option != widget.value]
        if not others:
            return False
        widget.set_value(others[0])
    return True
