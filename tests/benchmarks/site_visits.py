"""Visits of every page of the leaderboard without a browser: CPU seconds of the server's script for a view, and for
every filter and choice on the page set to something else.

Timed is the thread of the script, from the first line of the site to its last, as a server runs it too. What
Streamlit's test harness adds is left out: it reads the metadata of every installed package. Sorting a table costs the
server nothing: the browser does it.
"""

import os
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

from streamlit.testing.v1 import AppTest

import lukv_bench.leaderboard.site as site_module

_APP = Path(site_module.__file__).with_name("app.py")
_WIDGETS = ("selectbox", "multiselect", "button_group", "toggle", "text_input", "number_input")

Visit = Callable[[], float]
"""Runs the script once and gives the CPU seconds of its thread."""


def visits(path: Path, *, choices: bool = True) -> Iterator[tuple[str, Visit]]:
    """(name, visit) of every page, and with `choices` of every page with each filter and choice changed.

    The first visit of a choice is to a value that nobody has chosen before; the next ones go back and forth.
    """
    os.environ["LUKV_BENCH_SITE_DATABASE"] = str(path)
    for page in site_module.PAGES:
        visitor = Visitor(page)
        yield page, visitor.look
        for kind, key in visitor.choices() if choices else ():
            usual, other = visitor.values(kind, key)
            if other == usual:
                continue
            turns = cycle((other, usual))
            yield (
                f"{page}, {key}",
                lambda visitor=visitor, kind=kind, key=key, turns=turns: (  # type: ignore[misc]
                    visitor.choose(kind, key, next(turns))
                ),
            )
            visitor.choose(kind, key, usual)


class Visitor:
    """A session on one page."""

    def __init__(self, page: str) -> None:
        self._site = AppTest.from_file(str(_APP), default_timeout=600).switch_page(f"page_scripts/{page}.py")

    def look(self) -> float:
        """Draw the page; gives the CPU seconds of the script."""
        seconds: list[float] = []
        with patch.object(site_module, "show_site", _timed(site_module.show_site, seconds)):
            self._site.run()
        if self._site.exception:
            raise RuntimeError(f"a page failed: {self._site.exception[0].value}")
        return sum(seconds)

    def choose(self, kind: str, key: str, value: Any) -> float:
        """Set a widget, and draw the page."""
        self._widget(kind, key).set_value(value)
        return self.look()

    def choices(self) -> list[tuple[str, str]]:
        """(kind, key) of every widget that can be set."""
        return [
            (kind, str(widget.key))
            for kind in _WIDGETS
            for widget in self._site.get(kind)
            if widget.key and not widget.disabled
        ]

    def values(self, kind: str, key: str) -> tuple[Any, Any]:
        """What a widget is set to, and another value that it takes."""
        widget = self._widget(kind, key)
        usual = widget.value
        if kind == "toggle":
            return usual, not usual
        if kind == "text_input":
            return usual, "number is 77"
        if kind == "number_input":
            return usual, min(usual + widget.step, widget.max)
        if kind == "multiselect":
            return usual, list(widget.options[-2:])
        others = [option for option in widget.options if option != usual]
        return usual, others[-1] if others else usual

    def _widget(self, kind: str, key: str) -> Any:
        (widget,) = (each for each in self._site.get(kind) if each.key == key)
        return widget


def _timed(show_site: Callable[[Path], None], seconds: list[float]) -> Callable[[Path], None]:
    def timed(folder: Path) -> None:
        started = time.thread_time()
        try:
            show_site(folder)
        finally:
            seconds.append(time.thread_time() - started)

    return timed
