"""Measurements of cost beside the results that the tests look at: on two machines, the second one quicker."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lukv_bench.db.cost_records import CostRecord, RepeatRecord
from lukv_bench.db.costs import put_cost
from lukv_bench.db.schema import Environment
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .hostile import HOSTILE

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
DESKTOP, CARD = "a desktop, 8 cores", "a card, 16 cores"
SPEEDS = {DESKTOP: 1.0, CARD: 0.01}
"""Seconds of a machine, as multiples of the desktop's."""

_TOKEN_S = {"full": 0.2, "uniform": 0.1, "lukv": 0.102, "adakv": 0.15}


def token_s(allocator: str) -> list[float]:
    """Of three repeats: uniform's and lukv's overlap."""
    return [_TOKEN_S[allocator] * factor for factor in (0.98, 1.0, 1.04)]


def measurement(number: int, run: str, environment: str, configuration: str, **other: Any) -> CostRecord:
    """One that took a minute of its own."""
    given: dict[str, Any] = {
        "id": f"cost {number}",
        "configuration_id": configuration,
        "task": "niah",
        "task_version": "1",
        "data_revision": "",
        "length": 1280,
        "sample_id": "s",
        "run_id": run,
        "environment_id": environment,
        "devices": ["d"],
        "started_at": NOON + number * timedelta(minutes=1),
        "finished_at": NOON + (number + 1) * timedelta(minutes=1),
        "n_context_tokens": 1000,
        "n_question_tokens": 20,
        "n_new_tokens": 3,
        "n_repeats": 3,
        "gate_error": 0.0,
        "gate_tolerance": 1e-3,
        "kv_tokens_full": 4000,
        "kv_tokens_kept": 2000,
        "kv_bytes_full": 2**22,
        "kv_bytes_kept": 2**21,
        "kv_bytes_allocated": 2**21,
        "footprint": 0.7,
        "clock": "monotonic clock",
        "memory": "resident set of the process",
        "model_bytes": 2**27,
    }
    return CostRecord(**(given | other))


def repeats(seconds: Sequence[float], speed: float) -> list[RepeatRecord]:
    """One for each of some seconds per token."""
    steps = {"prefill_s": 2.0, "score_s": 0.1, "allocate_s": 0.0, "select_s": 0.1, "compact_s": 0.1}
    return [
        RepeatRecord(
            **{name: value * speed for name, value in steps.items()},
            first_token_s=0.3 * speed,
            token_s=[each * speed] * 2,
            wall_s=9.0,
            peak_bytes=2**27 + 2**24,
        )
        for each in seconds
    ]


def environment(machine: str) -> Environment:
    """One of its own for each machine."""
    identity = "card" if machine == CARD else "desktop"
    return Environment(id=identity, python="3.11.9", platform="linux", device="cpu", machine=machine, packages={})


def write_costs(source: Path, path: Path, configurations: Sequence[tuple[str, str]]) -> Path:
    """A copy of a database with every configuration, given by id and allocator, measured on both machines."""
    shutil.copy(source, path)
    with Store.open(resolve_url(str(path)), create=True) as store:
        number = 0
        for machine, speed in SPEEDS.items():
            run = store.start_run(["lukv-bench", "run", "--cost"], environment(machine))
            for identity, allocator in configurations:
                seconds = repeats(token_s(allocator), speed)
                where = environment(machine).id
                put_cost(store, measurement(number, run, where, identity, repeats=seconds))
                number += 1
            store.finish_run(run, 0)
        failed = {"status": "failed", "error": "OutOfMemoryError: too long", "task": "fwe"}
        put_cost(store, measurement(number, run, where, configurations[0][0], **failed))
    return path


def write_hostile_costs(store: Store, run: str) -> None:
    """A measurement for each hostile text, in every column that takes one."""
    where = environment(DESKTOP)
    store.put(where)
    for number, (name, text) in enumerate(HOSTILE.items()):
        plain = text.encode(errors="replace").decode().replace("\0", "?")
        texts: dict[str, Any] = {"clock": plain, "memory": plain, "details": {plain: plain}}
        done = measurement(2 * number, run, where.id, f"c {name}", repeats=repeats([0.1, 0.2, 0.3], 1.0), **texts)
        put_cost(store, done)
        failed = {"status": "failed", "error": plain, "task": plain[:255], "data_revision": plain[:255]}
        put_cost(store, measurement(2 * number + 1, run, where.id, f"c {name}", **failed, **texts))
