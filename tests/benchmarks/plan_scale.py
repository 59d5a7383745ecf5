"""Times what a run does before its first prefill on a large grid: the plan, its rows, and resume over stored answers.

python tests/benchmarks/plan_scale.py                # 10,000 cells x 100 samples, 1,000,000 stored answers
python tests/benchmarks/plan_scale.py --cells 1000   # a tenth

The grid is 2 scorers x 5 allocators on 5 tasks, with as many ratios as give that many cells, on a tiny random model.
The stored answers are those of the plan's own cells, so that resume finds every one; they lie in the table as a run
stores them, sample by sample. Prints CPU seconds and the peak
of the process's memory after each step.
"""

import argparse
import hashlib
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path
from typing import Any, TypeVar

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]
sys.path.append(str(_ROOT / "tests"))

from sqlalchemy import insert, update  # noqa: E402 - the root must not be on sys.path
from tiny_model import make_model  # noqa: E402

from lukv_bench.bench.api.checked import check_grid  # noqa: E402
from lukv_bench.bench.api.grid import Grid  # noqa: E402
from lukv_bench.bench.api.model import load_ready  # noqa: E402
from lukv_bench.bench.reports.progress import shown_progress  # noqa: E402
from lukv_bench.bench.run.driver import missing  # noqa: E402
from lukv_bench.bench.run.plan import Plan, make_plan  # noqa: E402
from lukv_bench.bench.run.rows import environment_row, plan_rows  # noqa: E402
from lukv_bench.bench.run.shard import WHOLE  # noqa: E402
from lukv_bench.db import schema  # noqa: E402
from lukv_bench.db.comparison import result_rows  # noqa: E402
from lukv_bench.db.store import Store  # noqa: E402
from lukv_bench.db.summaries import write_missing_summaries  # noqa: E402

ALLOCATORS = ("uniform", "adakv", "pyramidkv", "global", "shuffled:of=adakv")
SCORERS = ("keydiff", "knorm")
TASKS = ("niah_single_1", "niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue")
T = TypeVar("T")


def grid(n_cells: int, n_samples: int, model: Path, db: Path) -> Grid:
    """The grid with about so many cells."""
    n_ratios = max(n_cells // (len(ALLOCATORS) * len(SCORERS) * len(TASKS)), 1)
    return Grid(
        model=str(model),
        allocator=ALLOCATORS,
        scorer=SCORERS,
        ratio=[f"{0.1 + 0.8 * number / n_ratios:.6f}" for number in range(n_ratios)],
        tasks=TASKS,
        length=512,
        limit=n_samples,
        baselines=False,
        db=db,
        progress=False,
    )


def step(name: str, work: Callable[[], T]) -> T:
    """Do one step and print what it cost."""
    began = time.process_time()
    result = work()
    seconds, peak_mib = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"step": name, "cpu_s": round(seconds, 2), "peak_mib": round(peak_mib)}), flush=True)
    return result


def fill(store: Store, plan: Plan, n_samples: int) -> None:
    """Store an answer of every cell to every sample, with the score and the summary of every cell."""
    run = store.start_run(["lukv-bench", "run"], environment_row(plan.loaded))
    samples = {
        id(one): [digest(one.task.info.name, ordinal) for ordinal in range(n_samples)] for one in plan.sample_sets
    }
    now = datetime.now(UTC)

    def answers() -> Iterator[dict[str, Any]]:
        for ordinal, cell in product(range(n_samples), plan.cells):
            sample = samples[id(cell.samples)][ordinal]
            yield {"cell_id": cell.id, "sample_id": sample, "run_id": run, "status": "done", "text": "a", "score": 1.0,
                   "events": [], "created_at": now}  # fmt: skip

    with store.writing() as connection:
        for one in plan.sample_sets:
            info = one.task.info
            place = {"task": info.name, "task_version": info.version, "length": 512}
            rows = [
                {"id": sample, "ordinal": ordinal, "prompt_hash": "", "generation_hash": "", **place}
                for ordinal, sample in enumerate(samples[id(one)])
            ]
            connection.execute(insert(schema.Sample), rows)
        rest = answers()
        while some := list(islice(rest, 20_000)):
            connection.execute(insert(schema.Answer), some)
        connection.execute(update(schema.Cell).values(score=100.0))
    write_missing_summaries(store)


def digest(*parts: object) -> str:
    """An id."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def main() -> None:
    """Print each step."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    print(f"{options.cells} cells x {options.samples} samples, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory() as folder, shown_progress(False) as shown:
        model = make_model(Path(folder) / "model")
        checked = step("check", lambda: check_grid(grid(options.cells, options.samples, model, Path(folder, "x.db"))))
        specs = step("specify", lambda: checked.specs(shown))
        loaded = step("load the model", lambda: load_ready(str(model), "cpu", None, None, False, shown))
        (spec,) = specs.values()
        plan = step("plan", lambda: make_plan(spec, loaded, shown.report))
        with Store.open(checked.url, create=True) as store:
            step("write the plan", lambda: store.put(*plan_rows(plan)))
            step("write the plan again", lambda: store.put(*plan_rows(plan)))
            todo = step("what is missing, of nothing done", lambda: missing(plan, store, WHOLE))
            assert sum(map(len, todo.values())) == len(plan.cells) * options.samples
            step("(store the answers)", lambda: fill(store, plan, options.samples))
            todo = step("what is missing, of all done", lambda: missing(plan, store, WHOLE))
            assert not any(todo.values())
            rows = step("rows of the table", lambda: result_rows(store, [cell.id for cell in plan.cells]))
        print(f"{len(plan.cells)} cells, {len(rows)} rows")


if __name__ == "__main__":
    main()
