"""Times the leaderboard over a large generated database: its queries, and the server script of every page.

python tests/benchmarks/site_scale.py                                   # 100,000 cells, 5,000,000 answers
python tests/benchmarks/site_scale.py --growth 20 200 2000 20000        # 1,000 to 1,000,000 answers
python tests/benchmarks/site_scale.py --keep scale.db                   # keeps the database, or takes it again

Prints CPU seconds, which count on a busy machine, of the first time and the median of the next ones, and the process's
memory. What a browser adds is measured by `site_browser.py`.
"""

import argparse
import gc
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
    kept = of_task.iloc[-1]
    sample = search_samples(reader, setting, task).samples.iloc[0]["sample"]
    profile = next(iter(cells["profile_hash"].dropna()), "")  # few cells are of the full cache alone
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


def cpu_seconds(call: Callable[[], object]) -> Callable[[], float]:
    """The call, to give its CPU seconds."""

    def timed() -> float:
        gc.collect()
        started = time.process_time()
        call()
        return time.process_time() - started

    return timed


def measure(name: str, call: Callable[[], float], times: int) -> float:
    """Print the CPU seconds of the first call and the median of the next ones; gives that."""
    first, warm = call(), median(call() for _ in range(times))
    print(f"  {name:45} first {first:6.3f}   warm {warm:6.3f}", flush=True)
    return warm


def memory_mib() -> float:
    """The most memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_all(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Time everything on one database; gives warm CPU seconds by name."""
    warm: dict[str, float] = {}
    with Reader.open(URL.create("sqlite", database=str(path))) as reader:
        print(f"queries, {path.stat().st_size / 2**20:.0f} MiB on disk")
        for name, call in queries(reader):
            warm.setdefault(name.partition(" (")[0], measure(name, cpu_seconds(call), arguments.times))
        if arguments.results:
            warm["results"] = measure("results: every cell", cpu_seconds(lambda: result_rows(reader)), 1)
    if arguments.pages:
        print("server script of each page" + ("" if arguments.growth else ", and of each of its filters and choices"))
        found = visits(path, choices=not arguments.growth)
        of_pages = {name: measure(name, visit, arguments.times) for name, visit in found}
        print(f"  longest warm {max(of_pages.values()):.3f} s")
        warm |= {name: taken for name, taken in of_pages.items() if "," not in name}
    print(f"  memory {memory_mib():.0f} MiB")
    return warm


def print_growth(sizes: Sequence[int], warm: Sequence[dict[str, float]]) -> None:
    """A row for each query and page, a column for each number of answers."""
    print("\nwarm CPU seconds by number of answers")
    print(f"  {'':24}" + "".join(f"{size:>12,}" for size in sizes))
    for name in warm[-1]:
        print(f"  {name:24}" + "".join(f"{each.get(name, float('nan')):12.3f}" for each in warm))


def main() -> None:
    """Fill and measure, once or for several sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=50, help="Of each task and seed.")
    parser.add_argument(
        "--growth", type=int, nargs="+", help="Several numbers of cells in place of one; pages without their choices."
    )
    parser.add_argument("--times", type=int, default=5, help="Warm calls of each kind.")
    parser.add_argument("--keep", type=Path, help="Make the database here and leave it, or take the one that is there.")
    parser.add_argument("--no-pages", dest="pages", action="store_false", help="Time the queries alone.")
    parser.add_argument(
        "--no-results", dest="results", action="store_false", help="Leave `results` over all cells out."
    )
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        sizes = arguments.growth or [arguments.cells]
        warm = []
        for n_cells in sizes:
            path: Any = arguments.keep or Path(folder) / f"{n_cells}.db"
            if not path.exists():
                started = time.perf_counter()
                fill(path, n_cells, arguments.samples)
                print(f"filled in {time.perf_counter() - started:.0f} s")
            print(f"{n_cells} cells x {arguments.samples} samples")
            warm.append(measure_all(path, arguments))
        if arguments.growth:
            print_growth([n_cells * arguments.samples for n_cells in sizes], warm)


if __name__ == "__main__":
    main()
