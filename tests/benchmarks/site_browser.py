"""Times the leaderboard in a browser over a large generated database, beside a Streamlit page with one chart.

python tests/benchmarks/site_browser.py                        # 100,000 cells, 5,000,000 answers
python tests/benchmarks/site_browser.py --keep scale.db        # keeps the database, or takes it again

A view lasts from the start of the navigation, in a browser without cache, until every table and figure of the page is
drawn. Views of the two sites alternate. Both wall-clock seconds and CPU seconds (server and browser) are printed: the
latter count on a busy machine. Then so many visitors at once without browsers (see `site_crowd.py`), spread over the
pages, at a fresh server, with its memory before and after. Exits with 1 where a server's log has an error.
"""

import argparse
import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

_ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
sys.path[:] = [*(p for p in sys.path if Path(p or ".").resolve() not in (_ROOT, _HERE)), str(_HERE)]

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402
from site_crowd import Crowd  # noqa: E402
from site_database import fill  # noqa: E402

import lukv_bench.leaderboard.site as site_module  # noqa: E402

ONE_CHART = """
import plotly.graph_objects as go
import streamlit as st

st.title("One chart")
st.plotly_chart(go.Figure(go.Scatter(y=[number * number for number in range(50)])))
"""
PATIENCE_S = 300
FLAGS = ("--no-sandbox", "--disable-renderer-backgrounding", "--disable-background-timer-throttling")

WATCH = """
const drawn = () => {
    const all = (query) => [...document.querySelectorAll(query)];
    const shown = (query) => all(query).filter((element) => element.checkVisibility());
    const charts = shown('[data-testid="stPlotlyChart"]'), tables = shown('[data-testid="stDataFrame"]');
    return all('[data-testid="stApp"][data-test-script-state="notRunning"]').length > 0
        && charts.length + tables.length > 0
        && charts.every((chart) => chart.querySelector(".main-svg"))
        && tables.every((table) => table.querySelector("canvas"))
        && !all('[data-stale="true"], [data-testid="stSkeleton"], [data-testid="stSpinner"]').length;
};
const timer = setInterval(() => {
    if (drawn()) {
        window.drawnAfter = performance.now() / 1000;
        clearInterval(timer);
    }
}, 50);
"""
"""Keeps the moment at which everything on the page is drawn."""


@dataclass(frozen=True)
class Server:
    """A Streamlit server with its address, the number of its process, and its log."""

    url: str
    pid: int
    log: Path

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, what: str = "VmRSS") -> float:
        """Memory that it holds, or with VmHWM the most that it ever held."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024


@dataclass(frozen=True)
class View:
    """Seconds of one view."""

    wall_s: float
    server_s: float
    browser_s: float

    @property
    def cpu_s(self) -> float:
        """Of server and browser."""
        return self.server_s + self.browser_s


def free_port() -> int:
    """A port that nothing listens at."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def site_command(database: Path, port: int) -> list[str]:
    """The leaderboard as a user starts it."""
    program = Path(sys.executable).with_name("lukv-bench")
    return [str(program), "leaderboard", "--db", str(database), "--no-browser", "--port", str(port)]


def script_command(script: Path, port: int) -> list[str]:
    """Any other Streamlit script."""
    options = {"server.address": "127.0.0.1", "server.port": str(port), "server.headless": "true"}
    options |= {"browser.gatherUsageStats": "false", "logger.level": "warning"}
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(script), *flags]


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path) -> Iterator[Server]:
    """A server until the end of the block; its log is in the folder."""
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(f"{url}/_stcore/health", process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Server(url, int(children[0]) if children else process.pid, log)
    finally:
        process.terminate()
        process.wait()


def _wait_until_up(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def browser_cpu_s(browser: Browser) -> float:
    """CPU seconds so far of all processes of the browser that are alive."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(process["cpuTime"] for process in processes))


def opened(browser: Browser, address: str) -> Page:
    """A page in a context of its own, on its way to an address."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.add_init_script(WATCH)
    page.goto(address, wait_until="commit", timeout=PATIENCE_S * 1000)
    return page


def drawn_after(page: Page) -> float:
    """Seconds from the start of the navigation until everything was drawn."""
    page.wait_for_function("window.drawnAfter", timeout=PATIENCE_S * 1000, polling=50)
    return float(page.evaluate("window.drawnAfter"))


def view(browser: Browser, server: Server, path: str = "") -> View:
    """One visitor's first view of a page."""
    server_s, browser_s = server.cpu_s(), browser_cpu_s(browser)
    page = opened(browser, f"{server.url}/{path}")
    wall_s = drawn_after(page)
    taken = View(wall_s, server.cpu_s() - server_s, browser_cpu_s(browser) - browser_s)
    page.context.close()
    return taken


def compare_views(browser: Browser, ours: Server, chart: Server, pages: Sequence[str], times: int) -> None:
    """Print the views of some pages beside those of the one chart, which alternate with them."""
    taken: dict[str, list[View]] = {name: [] for name in ("one chart", *pages)}
    for _ in range(times):
        taken["one chart"].append(view(browser, chart))
        for page in pages:
            taken[page].append(view(browser, ours, page))
    print(f"one visitor, medians of {times}: wall s, CPU s (of the server, of the browser)")
    base_s, base_cpu_s = (median(getattr(each, name) for each in taken["one chart"]) for name in ("wall_s", "cpu_s"))
    for name, views in taken.items():
        wall, cpu, server, client = (
            median(getattr(each, what) for each in views) for what in ("wall_s", "cpu_s", "server_s", "browser_s")
        )
        print(
            f"  {name:10} {wall:6.2f} ({wall / base_s:4.2f}x)   CPU {cpu:5.2f} ({cpu / base_cpu_s:4.2f}x; "
            f"server {server:5.2f}, browser {client:5.2f})",
            flush=True,
        )


async def crowd(server: Server, pages: Sequence[str], name: str) -> None:
    """Print how long visitors wait who come at once, each to one of the pages, and the memory with all there."""
    cpu_s, memory = server.cpu_s(), server.memory_mib()
    async with Crowd(server.url, pages) as visitors:
        cpu_s = server.cpu_s() - cpu_s
        seconds = sorted(visitors.seconds)
        p95 = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
        print(
            f"  {name:16} served after {median(seconds):5.2f} s (median), {p95:5.2f} s (95%); server CPU "
            f"{cpu_s / len(pages):.2f} s a visit; {visitors.received_mib / len(pages):.2f} MiB sent to each; "
            f"memory {memory:.0f} -> {server.memory_mib():.0f} MiB, at most {server.memory_mib('VmHWM'):.0f}",
            flush=True,
        )


def print_crowds(database: Path, folder: Path, visitors: int) -> list[str]:
    """Crowds at a fresh server, alone and together, and at that of the one chart; what its log says went wrong."""
    pages = [*site_module.PAGES]
    ports = free_port(), free_port()
    with (
        serving(site_command(database, ports[0]), ports[0], folder) as ours,
        serving(script_command(folder / "one_chart.py", ports[1]), ports[1], folder) as chart,
    ):
        print(f"visitors without browsers, at a fresh server of {ours.memory_mib():.0f} MiB")
        asyncio.run(crowd(ours, pages[:1], "the first one"))
        asyncio.run(crowd(ours, pages[:1], "the second one"))
        asyncio.run(crowd(ours, pages, "one on each page"))
        for _ in range(3):
            asyncio.run(crowd(ours, [pages[n % len(pages)] for n in range(visitors)], f"{visitors} at once"))
        asyncio.run(crowd(chart, [""], "one chart: one"))
        asyncio.run(crowd(chart, [""] * visitors, f"one chart: {visitors}"))
        return [*errors(ours), *errors(chart)]


def errors(server: Server) -> list[str]:
    """The lines of the log that tell of an error."""
    lines = server.log.read_text(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or "Error" in line or "Exception" in line]


def print_views(browser: Browser, database: Path, folder: Path, pages: Sequence[str], times: int) -> list[str]:
    """Views in a browser; what the servers' logs say went wrong."""
    ports = free_port(), free_port()
    with (
        serving(site_command(database, ports[0]), ports[0], folder) as ours,
        serving(script_command(folder / "one_chart.py", ports[1]), ports[1], folder) as chart,
    ):
        first_chart, first = view(browser, chart), view(browser, ours)
        print(f"the first visitor after the start: {first.wall_s:.2f} s, server CPU {first.server_s:.2f} s")
        print(f"  one chart: {first_chart.wall_s:.2f} s, server CPU {first_chart.server_s:.2f} s", flush=True)
        for page in pages:
            view(browser, ours, page)
        compare_views(browser, ours, chart, pages, times)
        return [*errors(ours), *errors(chart)]


def main() -> int:
    """Fill and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=50, help="Of each task and seed.")
    parser.add_argument("--keep", type=Path, help="Make the database here and leave it, or take the one that is there.")
    parser.add_argument("--times", type=int, default=5, help="Views of each page; 0: none.")
    parser.add_argument("--visitors", type=int, default=20, help="At once; 0: none.")
    parser.add_argument(
        "--pages",
        nargs="+",
        choices=site_module.PAGES,
        default=["ranking", "tradeoffs"],
        help="Held against the chart.",
    )
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="The browser's program.")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database: Path = arguments.keep or folder / "scale.db"
        if not database.exists():
            fill(database, arguments.cells, arguments.samples)
        print(f"{database.stat().st_size / 2**20:.0f} MiB of results")
        (folder / "one_chart.py").write_text(ONE_CHART)
        found = []
        if arguments.times:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=arguments.chromium, args=list(FLAGS))
                found += print_views(browser, database, folder, arguments.pages, arguments.times)
                browser.close()
        if arguments.visitors:
            found += print_crowds(database, folder, arguments.visitors)
    print("\n".join(found) or "no error in the servers' logs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
