"""Times the leaderboard over a large generated database: its queries, and the server script of every page.

python tests/benchmarks/site_scale.py                                   # 100,000 cells, 5,000,000 answers
python tests/benchmarks/site_scale.py --growth 20 200 2000 20000        # 1,000 to 1,000,000 answers
python tests/benchmarks/site_scale.py --keep scale.db                   # keeps the database, or takes it again

Prints wall-clock seconds, the first time and the median of the next ones, their CPU seconds, which count on a busy
machine, and the process's memory. What a browser adds is not measured here.
"""

import argparse
import gc
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
sys.path[:] = [*(p for p in sys.path if Path(p or ".").resolve() not in (_ROOT, _HERE)), str(_HERE)]

from site_database import fill  # noqa: E402
from site_visits import visits  # noqa: E402
from sqlalchemy import URL  # noqa: E402

from lukv_bench.db.comparable import Setting  # noqa: E402
from lukv_bench.db.comparison import result_rows  # noqa: E402
from lukv_bench.db.frames.cells import read_cells  # noqa: E402
from lukv_bench.db.frames.commands import read_commands  # noqa: E402
from lukv_bench.db.frames.environments import read_environments  # noqa: E402
from lukv_bench.db.frames.mean_counts import read_mean_counts  # noqa: E402
from lukv_bench.db.frames.pages import read_method_pages, read_task_pages  # noqa: E402
from lukv_bench.db.frames.profiles import read_profile_curves  # noqa: E402
from lukv_bench.db.frames.sample_answers import read_answers_of_sample  # noqa: E402
from lukv_bench.db.frames.sample_scores import read_sample_scores  # noqa: E402
from lukv_bench.db.frames.search import search_samples  # noqa: E402
from lukv_bench.db.frames.settings import read_settings  # noqa: E402
from lukv_bench.db.reader import Reader  # noqa: E402

Timed = tuple[str, Callable[[], object]]


def queries(reader: Reader) -> Iterator[Timed]:
    """(name, call) of every question that a page asks."""
    settings = read_settings(reader)
    setting = Setting.of(settings.iloc[0])
    task, length = settings.iloc[0]["tasks"][0]
    cells = read_cells(reader, setting)
    of_task = read_cells(reader, setting, [task])
    kept = of_task[of_task["allocator"] != "full"].iloc[0]
    sample = search_samples(reader, setting, task).samples.iloc[0]["sample"]
    profile = cells["profile_hash"].dropna().iloc[0]
    yield "version", reader.version
    yield "read_settings", lambda: read_settings(reader)
    yield f"read_cells ({len(cells)})", lambda: read_cells(reader, setting)
    yield f"read_cells ({len(of_task)} of a task)", lambda: read_cells(reader, setting, [task])
    yield f"read_sample_scores ({len(cells)} cells)", lambda: read_sample_scores(reader, list(cells["cell"]))
    yield "read_sample_scores (2 cells)", lambda: read_sample_scores(reader, list(cells["cell"][:2]))
    yield "search_samples", lambda: search_samples(reader, setting, task)
    yield "search_samples (text)", lambda: search_samples(reader, setting, task, "number 77")
    yield "read_answers_of_sample", lambda: read_answers_of_sample(reader, sample, list(of_task["cell"]))
    yield "read_mean_counts", lambda: read_mean_counts(reader, kept["configuration"], task, length)
    yield "read_method_pages", lambda: read_method_pages(reader)
    yield "read_task_pages", lambda: read_task_pages(reader)
    yield "read_environments", lambda: read_environments(reader)
    yield "read_profile_curves", lambda: read_profile_curves(reader, profile)
    own = cells.loc[cells["configuration"] == kept["configuration"], "cell"]
    yield f"read_commands ({len(own)} cells)", lambda: read_commands(reader, list(own))


def seconds(call: Callable[[], object], times: int = 5) -> tuple[float, float, float]:
    """(first, median of the next, CPU seconds of the median one) of a call."""
    taken = []
    for _ in range(times + 1):
        gc.collect()
        started, cpu = time.perf_counter(), time.process_time()
        call()
        taken.append((time.perf_counter() - started, time.process_time() - cpu))
    return taken[0][0], median(wall for wall, _ in taken[1:]), median(cpu for _, cpu in taken[1:])


def show(timed: Iterator[Timed], times: int) -> float:
    """Print a line a call; gives the longest warm one."""
    longest = 0.0
    for name, call in timed:
        first, warm, cpu = seconds(call, times)
        longest = max(longest, warm)
        print(f"  {name:45} first {first:6.3f}   warm {warm:6.3f}   CPU {cpu:6.3f}", flush=True)
    return longest


def memory_mib() -> float:
    """The most memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, arguments: argparse.Namespace) -> None:
    """Time everything on one database."""
    url = URL.create("sqlite", database=str(path))
    with Reader.open(url) as reader:
        print(f"queries, {path.stat().st_size / 2**20:.0f} MiB on disk")
        longest = show(queries(reader), arguments.times)
        print(f"  longest warm {longest:.3f} s; memory so far {memory_mib():.0f} MiB")
        if arguments.results:
            first, warm, _ = seconds(lambda: result_rows(reader), 1)
            print(f"results (every cell with its interval and gain): first {first:.2f}, warm {warm:.2f} s")
    if arguments.pages:
        print("server script of each page")
        longest = show(visits(path), arguments.times)
        print(f"  longest warm {longest:.3f} s; memory {memory_mib():.0f} MiB")


def main() -> None:
    """Fill and measure, once or for several sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=50, help="Of each task and seed.")
    parser.add_argument("--growth", type=int, nargs="+", help="Several numbers of cells in place of one.")
    parser.add_argument("--times", type=int, default=5, help="Warm calls of each kind.")
    parser.add_argument("--keep", type=Path, help="Make the database here and leave it, or take the one that is there.")
    parser.add_argument("--no-pages", dest="pages", action="store_false", help="Time the queries alone.")
    parser.add_argument(
        "--no-results", dest="results", action="store_false", help="Leave `results` over all cells out."
    )
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for n_cells in arguments.growth or [arguments.cells]:
            path: Any = arguments.keep or Path(folder) / f"{n_cells}.db"
            if not path.exists():
                started = time.perf_counter()
                fill(path, n_cells, arguments.samples)
                print(f"filled in {time.perf_counter() - started:.0f} s")
            print(f"{n_cells} cells x {arguments.samples} samples")
            measure(path, arguments)


if __name__ == "__main__":
    main()
