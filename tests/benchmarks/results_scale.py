"""Times `lukv-bench results` over a large database, and another installation's over the same content beside it.

python tests/benchmarks/results_scale.py                                     # 5,000 cells x 100 samples
python tests/benchmarks/results_scale.py --vs OTHER_CHECKOUT/.venv/bin/python   # before and after, in one run

Prints CPU seconds and the most memory of whole processes: imports, queries, statistics and output.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

from sqlalchemy import URL, insert  # noqa: E402 - the root must not be on sys.path

from lukv_bench.db import schema  # noqa: E402
from lukv_bench.db.store import Store  # noqa: E402

ALLOCATORS = ("uniform", "lukv", "adakv", "pyramidkv")
SCORERS = ("keydiff", "snapkv", "knorm", "tova")
FORMS: dict[str, tuple[str, ...]] = {"table": (), "json": ("--json",), "grid": ("--grid",)}
RATIOS = ("0.5", "0.8", "0.9")


def configurations(number: int) -> Iterator[dict[str, Any]]:
    """Rows of `configuration`: seeds of every method at every budget, as many as are asked for."""
    grid = product(range(number), RATIOS, SCORERS, ALLOCATORS)
    for index, (seed, ratio, scorer, allocator) in zip(range(number), grid, strict=False):
        plugin = {"arguments": {}, "distribution": "lukv-bench", "version": "0.1.0"}
        shared = {
            "model_revision": digest("model"),
            "dtype": "float32",
            "attention": "ragged-torch",
            "protocol": "agnostic",
            "chat_form": "plain",
            "truncation": "refuse",
            "ratio": ratio,
            "keep_tokens": None,
            "sink": 4,
            "window": 1,
            "schedule": "one-shot",
            "profile_hash": None,
            "seed": seed,
            "code_version": "0.1.0+results.1",
        }
        spec = shared | {
            "allocator": plugin | {"name": allocator},
            "scorer": plugin | {"name": scorer},
        }
        yield shared | {
            "id": digest("configuration", index),
            "label": f"{allocator} x {scorer} @ prune {ratio}",
            "allocator": allocator,
            "allocator_args": {},
            "scorer": scorer,
            "scorer_args": {},
            "spec": spec,
        }


def answers(cells: Sequence[str], samples: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of `answer`: half of the scores are 1, a fifth of the answers carry an event."""
    for cell, (ordinal, sample) in product(cells, enumerate(samples)):
        lot = int(digest(cell, ordinal)[:8], 16)
        yield {
            "cell_id": cell,
            "sample_id": sample,
            "run_id": digest("run"),
            "status": "done",
            "error": None,
            "text": f"The special magic number is {lot}.",
            "score": float(lot % 2),
            "n_context_tokens": 1000,
            "n_question_tokens": 20,
            "n_generated_tokens": 12,
            "stop_reason": "eos",
            "kv_tokens_full": 90_000,
            "kv_tokens_kept": 18_000,
            "kv_bytes_full": 46_080_000,
            "kv_bytes_kept": 9_216_000,
            "events": [{"event": "truncated_middle", "tokens": lot % 100}] if lot % 5 == 0 else [],
            "created_at": datetime.now(UTC),
        }


def fill(path: Path, n_cells: int, n_samples: int) -> None:
    """A finished database: 20 tasks, one machine, no failures."""
    tasks = [f"task_{number:02}" for number in range(20)]
    url = URL.create("sqlite", database=str(path))
    with Store.open(url, create=True) as store:
        has_machine = "machine" in schema.Environment.__table__.columns  # an older version of --vs has not
        named = {"machine": "cpu"} if has_machine else {}
        environment = schema.Environment(
            id=digest("environment"), python="3.12", platform="linux", device="cpu", **named
        )
        revision = digest("model")
        store.put(
            schema.Model(revision=revision, name="large", n_layers=30, n_kv_heads=3, n_query_heads=9, head_dim=64),
            environment,
        )
        rows = list(configurations(n_cells // len(tasks)))
        cells = [(digest(row["id"], task), row["id"], task) for task in tasks for row in rows]
        task_values = {"task_version": "1", "length": 1024}
        with store.writing() as connection:
            run = {"id": digest("run"), "command": ["run"], "environment_id": environment.id, "status": "finished"}
            connection.execute(insert(schema.Run), [run | {"started_at": datetime.now(UTC)}])
            connection.execute(insert(schema.Configuration), rows)
            asked = {"data_revision": "", "samples_asked": n_samples, "score": 50.0, "stderr": 5.0, **task_values}
            connection.execute(
                insert(schema.Cell),
                [{"id": cell, "configuration_id": of, "task": task, **asked} for cell, of, task in cells],
            )
            for task in tasks:
                samples = [digest(task, ordinal) for ordinal in range(n_samples)]
                hashes = {"prompt_hash": "p", "generation_hash": "g", "task": task, **task_values}
                connection.execute(
                    insert(schema.Sample),
                    [{"id": sample, "ordinal": ordinal, **hashes} for ordinal, sample in enumerate(samples)],
                )
                of_task = [cell for cell, _, name in cells if name == task]
                for batch in batches(answers(of_task, samples)):
                    connection.execute(insert(schema.Answer), batch)
            seconds = {"kind": "indicative", "prefill_s": 1.0, "evict_s": 0.1, "ttft_s": 1.2, "tpot_s": 0.04}
            n_answers = len(cells) * n_samples
            for batch in batches({"answer_id": answer, **seconds} for answer in range(1, n_answers + 1)):
                connection.execute(insert(schema.Timing), batch)
    Store.open(url, create=True).close()  # a run leaves summaries of what is complete


def batches(rows: Iterable[dict[str, Any]], size: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    """The rows, so many at a time."""
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch


def digest(*parts: object) -> str:
    """An id that depends on its parts alone."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    cpu_s: float
    memory_mib: float


def cost(*command: object) -> Cost:
    """User and system seconds of a process that must succeed, and its most memory; the output is dropped."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(python: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Cost]:
    """Cost of each form of `results` by one installation, over a database of its own or the one named."""
    path = arguments.db or folder / f"{digest(str(python))[:8]}.db"
    if arguments.db is None:
        cost(python, __file__, "--fill", path, "--cells", arguments.cells, "--samples", arguments.samples)
    program = python.with_name("lukv-bench")
    return {form: cost(program, "results", "--db", path, *FORMS[form]) for form in arguments.forms}


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--vs", type=Path, help="Python of another installation, measured first.")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="What to print.")
    parser.add_argument("--db", type=Path, help="Over this SQLite file, of `site_scale.py --keep` for one.")
    parser.add_argument("--fill", type=Path, help="Only write the database, to this file.")
    arguments = parser.parse_args()
    if arguments.fill is not None:
        fill(arguments.fill, arguments.cells, arguments.samples)
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    size = arguments.db or f"{arguments.cells} cells x {arguments.samples} samples"
    print(f"{size}: CPU seconds, most memory in MiB")
    pythons = {"other": arguments.vs, "this": Path(sys.executable)}
    with tempfile.TemporaryDirectory() as folder:
        for name, python in pythons.items():
            if python is not None:
                found = measure(python, Path(folder), arguments)
                costs = [f"{form} {each.cpu_s:.2f} s {each.memory_mib:.0f} MiB" for form, each in found.items()]
                print(f"{name:5}  " + "  ".join(costs), flush=True)


if __name__ == "__main__":
    main()
