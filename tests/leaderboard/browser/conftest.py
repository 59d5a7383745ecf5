"""The site as a visitor meets it: served by the installed program, opened in the system's Chromium."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from .screen import Screen

PROGRAM = str(Path(sys.executable).with_name("lukv-bench"))
PATIENCE_S = 180
"""Until a condition must hold; a busy machine is slow."""


PROBE = re.compile(r"/\w+/_stcore/(health|host-config)$")
"""Streamlit, opened at a page's own address, asks below that first, and at the root then."""

Serve = Callable[[Path | None], AbstractContextManager["Served"]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/leaderboard/browser --screenshots docs/screenshots` makes those of the README anew."""
    parser.addoption("--screenshots", type=Path, help="Folder for the README's pictures of the site.")


@dataclass(frozen=True)
class Served:
    """The site over one database.

    Attributes:
        database: Its `--db`.
        url: Its address.
        log: All that the server has printed.
        process: The server.
    """

    database: Path | None
    url: str
    log: Path
    process: "subprocess.Popen[bytes]"

    def printed(self, since: int = 0) -> str:
        """What it has printed from a position of its log on, but for the fixture's own Ctrl-C."""
        text = self.log.read_bytes()[since:].decode(errors="replace")
        return text.removesuffix("interrupted\n")


@contextmanager
def serving(database: Path | None, folder: Path) -> Iterator[Served]:
    """`lukv-bench leaderboard` from its first answer until the end of the block, and Ctrl-C then.

    Args:
        database: Its `--db`; None for a user who has no results yet.
        folder: Of the user's own files and of the log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    own = {"XDG_DATA_HOME": str(folder / "data"), "LUKV_BENCH_CACHE": str(folder / "cache")}
    command = [PROGRAM, "leaderboard", "--no-browser", "--port", port, *(["--db", database] if database else [])]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | own,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell leaves it ignored
        )
    served = Served(database, f"http://127.0.0.1:{port}", log, process)
    try:
        until = time.monotonic() + PATIENCE_S
        while "(Ctrl-C ends it)" not in served.printed():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield served
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Serves a database until the end of a block."""
    return lambda database: serving(database, tmp_path_factory.mktemp("site"))


@dataclass
class Faults:
    """What must not happen while a test looks at a site: collected from pages and from the server's log."""

    served: Served
    found: list[str] = field(default_factory=list)
    log_from: int = 0

    def __post_init__(self) -> None:
        self.log_from = self.served.log.stat().st_size

    def watch(self, page: Page) -> None:
        """Collect what goes wrong on a page."""
        page.on("console", self._written)
        page.on("pageerror", lambda error: self._add(True, f"page: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _written(self, line: ConsoleMessage) -> None:
        is_fault = line.type in ("error", "warning") and not PROBE.search(line.location["url"])
        self._add(is_fault, f"console: {line.text}")

    def _failed(self, request: Request) -> None:
        was_left = request.failure == "net::ERR_ABORTED"  # the visitor went on before it had come
        self._add(not was_left, f"request: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        elsewhere = urlsplit(response.url).scheme in ("http", "https") and not response.url.startswith(self.served.url)
        self._add(elsewhere, f"another machine is asked: {response.url}")
        self._add(
            response.status >= 400 and not PROBE.search(response.url), f"response {response.status}: {response.url}"
        )

    def _add(self, is_fault: bool, text: str) -> None:
        if is_fault:
            self.found.append(text)

    def all(self) -> list[str]:
        """Everything so far; what the server printed since this began is a fault, too."""
        printed = self.served.printed(self.log_from)
        return [*self.found, *([f"server: {printed}"] if printed.strip() else [])]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium: one for all tests of a worker."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("these tests need a browser; on Debian: apt-get install chromium")
    words = ["--disable-gpu"]  # nothing draws in three dimensions, which software would do
    words += ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=words)
        yield browser
        browser.close()


class Visitors:
    """Opens pages of a site, and knows at the end what went wrong on any of them."""

    def __init__(self, browser: Browser, served: Served) -> None:
        self.served, self.faults = served, Faults(served)
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def open(self, address: str = "", **context: object) -> Screen:
        """A visitor with a fresh browser profile opens an address of the site and waits until it is drawn."""
        still: dict[str, Any] = {"reduced_motion": "reduce"}  # what moves while a page loads is drawn by the CPU
        still |= {"accept_downloads": True, "viewport": {"width": 1280, "height": 900}}
        made = self._browser.new_context(**(still | context))
        made.set_default_timeout(PATIENCE_S * 1000)
        self._contexts.append(made)
        page = made.new_page()
        self.faults.watch(page)
        screen = Screen(page, self.served.url)
        screen.go(address)
        return screen

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def visitors_of(browser: Browser) -> Iterator[Callable[[Served], Visitors]]:
    """Visitors of any site; at the end of the test nothing must have gone wrong."""
    made: list[Visitors] = []

    def visit(served: Served) -> Visitors:
        made.append(Visitors(browser, served))
        return made[-1]

    yield visit
    for each in made:
        faults = each.faults.all()
        each.close()
        assert not faults


@pytest.fixture(scope="session")
def example(serve: Serve) -> Iterator[Served]:
    """The site over the example that ships, served once for all tests of a worker."""
    with serve(None) as served:
        yield served


@pytest.fixture
def visitors(example: Served, visitors_of: Callable[[Served], Visitors]) -> Visitors:
    """Visitors of the site over the example."""
    return visitors_of(example)
