"""Starts the leaderboard in its own process, and ends it."""

import importlib.util
import os
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from sqlalchemy import URL

from .... import UserError
from ....db.example import SITE_DATABASE, shown_url
from ....db.named import check_there
from ....db.urls import describe, sqlite_path
from ...errors import PluginError
from .check import answers
from .place import Place

SCRIPT = Path(__file__).resolve().parents[3] / "leaderboard" / "app.py"

PROCESS = "lukv_bench.leaderboard.process"
"""Ends with this process, even one that is killed: the system then closes the pipe that the site reads."""

_ENDING_S = 10.0
"""Seconds until the site is killed if it does not end by itself."""


def serve(place: Place, db: str | None, *, open_browser: bool) -> int:
    """Serve until Ctrl-C; the exit code.

    Args:
        place: Where to listen; free.
        db: As typed.
        open_browser: Show the site when it answers.

    Raises:
        UserError: the database cannot be used, or Streamlit is not installed.
        PluginError: the site did not start.
    """
    url, is_example = shown_url(db)
    if (path := sqlite_path(url)) is not None and path.exists():
        check_there(path)  # a file that is not there yet is waited for
    if importlib.util.find_spec("streamlit") is None:
        raise UserError('The leaderboard needs Streamlit, which is not installed; type "pip install streamlit".')
    environment = _environment(None if db is None else url)
    process = subprocess.Popen(_command(place), env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        _wait_until_up(process, place)
        print(f"{'the example results' if is_example else describe(url)}: {place.url} (Ctrl-C ends it)", flush=True)
        if open_browser and _has_screen():
            webbrowser.open(place.url)
        return 1 if process.wait() else 0
    finally:
        _end(process)


def _command(place: Place) -> list[str]:
    """The command of the site. With -P no file of the working folder is imported as a module."""
    options = {
        "server.address": place.host,
        "server.port": str(place.port),
        "server.headless": "true",  # no browser and no question for an e-mail address
        "browser.gatherUsageStats": "false",
        "logger.level": "warning",
        "runner.postScriptGC": "false",  # it triples what a view costs and frees nothing: docs/results/site_load.md
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-P", "-m", PROCESS, str(SCRIPT), *flags]


def _environment(url: URL | None) -> dict[str, str]:
    """The environment of the site. Without `--db` the site itself looks for the user's results on each request."""
    environment = {name: value for name, value in os.environ.items() if name != SITE_DATABASE}
    if url is not None:
        environment[SITE_DATABASE] = url.render_as_string(hide_password=False)
    return environment


def _wait_until_up(process: "subprocess.Popen[bytes]", place: Place) -> None:
    while not answers(place):
        if process.poll() is not None:
            raise PluginError(f"the leaderboard did not start at {place.url}; the lines above say why.")
        time.sleep(0.1)
    if process.poll() is not None:
        raise PluginError(f"another program took {place.url} in the meantime; name another port with --port.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the site. Ctrl-C in a terminal reaches both processes; a signal to this process is passed on."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:  # a busy machine; the end that was asked for is no failure
        process.kill()
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()


def _has_screen() -> bool:
    """Whether there is a graphical screen; without one, a text browser would start in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
