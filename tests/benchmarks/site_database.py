"""A large database of results, made in bulk: models and seeds, allocators x scorers x ratios, tasks, short answers."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import URL, delete, insert, select

from lukv_bench.db import schema
from lukv_bench.db.arrays import pack_arrays
from lukv_bench.db.store import Store
from lukv_bench.db.summaries import write_summaries

ALLOCATORS = ("uniform", "lukv", "adakv", "pyramidkv", "global", "shuffled")
SCORERS = ("keydiff", "snapkv", "knorm", "tova", "h2o", "expected_attention", "streaming_llm")
RATIOS = ("0.25", "0.5", "0.75", "0.8", "0.9", "0.95")
N_CONFIGURATIONS, N_TASKS = 250, 20
"""Of a setting at most."""

N_LAYERS, N_HEADS = 30, 3


def digest(*parts: object) -> str:
    """An id that depends on its parts alone."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def fill(path: Path, n_cells: int, n_samples: int) -> None:
    """A finished database of so many complete cells, each answered on so many samples."""
    url = URL.create("sqlite", database=str(path))
    with Store.open(url, create=True) as store:
        _fill_small_tables(store, n_cells, n_samples)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-800000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        for statement in _BULK:
            connection.execute(statement)
        _fill_summaries(connection)
        connection.execute("COMMIT")
    with Store.open(url, create=True) as store:
        _check_summaries(store)


def settings(n_cells: int) -> Iterator[tuple[str, str, int, int]]:
    """(model revision, protocol, seed, its cells) until all cells have a place."""
    for seed, model, protocol in product(range(1000), range(5), ("agnostic", "aware")):
        n_here = min(n_cells, N_CONFIGURATIONS * N_TASKS)
        if n_here <= 0:
            return
        yield digest("model", model), protocol, seed, n_here
        n_cells -= n_here


def _methods() -> Iterator[tuple[str, str | None, str | None]]:
    yield "full", None, None
    for scorer, allocator, ratio in product(SCORERS, ALLOCATORS, RATIOS):
        yield allocator, scorer, ratio


def _fill_small_tables(store: Store, n_cells: int, n_samples: int) -> None:
    environment = schema.Environment(id=digest("environment"), python="3.12", platform="linux", machine="a machine")
    models = [
        schema.Model(
            revision=digest("model", number),
            name=f"model-{number}",
            n_layers=N_LAYERS,
            n_kv_heads=N_HEADS,
            n_query_heads=9,
            head_dim=64,
        )
        for number in range(5)
    ]
    curves = pack_arrays({"curve": np.linspace(0, 1, 20 * N_LAYERS * N_HEADS).reshape(20, N_LAYERS, N_HEADS)})
    profiles = [
        schema.Profile(hash=digest("profile", model.revision), model_revision=model.revision, arrays=curves)
        for model in models
    ]
    tasks = [
        schema.Task(name=f"task_{n:02}", version="1", family=f"family {n % 4}", metric="match", summary=f"task {n}")
        for n in range(N_TASKS)
    ]
    pages = [
        schema.MethodPage(
            kind=kind, name=name, distribution="lukv-bench", version="0.1.0", summary=f"{name}.", arguments=[]
        )
        for kind, names in (("allocator", ("full", *ALLOCATORS)), ("scorer", SCORERS))
        for name in names
    ]
    store.put(environment, *models, *profiles, *tasks, *pages)
    command = ["lukv-bench", "run", *(word for name in ALLOCATORS for word in ("--allocator", name))]
    run = {"id": digest("run"), "command": command, "environment_id": environment.id, "status": "finished"}
    with store.writing() as connection:
        connection.execute(insert(schema.Run), [run | {"started_at": datetime.now(UTC), "exit_code": 0}])
        seeds: set[int] = set()
        for model, protocol, seed, n_here in settings(n_cells):
            if seed not in seeds:
                seeds.add(seed)
                connection.execute(insert(schema.Sample), list(_samples(seed, n_samples)))
            configurations = list(islice(_configurations(model, protocol, seed), -(-n_here // N_TASKS)))
            connection.execute(insert(schema.Configuration), configurations)
            cells = islice(product(configurations, range(N_TASKS)), n_here)
            connection.execute(insert(schema.Cell), [_cell(row["id"], task, n_samples) for row, task in cells])


def _configurations(model: str, protocol: str, seed: int) -> Iterator[dict[str, Any]]:
    for allocator, scorer, ratio in islice(_methods(), N_CONFIGURATIONS):
        plugin = {"arguments": {}, "distribution": "lukv-bench", "version": "0.1.0"}
        shared = {
            "model_revision": model,
            "dtype": "float32",
            "attention": "ragged-torch",
            "protocol": protocol,
            "chat_form": "plain",
            "truncation": "refuse",
            "ratio": ratio,
            "keep_tokens": None,
            "sink": 4,
            "window": 8,
            "schedule": "one-shot",
            "profile_hash": digest("profile", model) if allocator == "lukv" else None,
            "seed": seed,
            "code_version": "0.1.0+results.1",
        }
        method = {"allocator": plugin | {"name": allocator}, "scorer": scorer and plugin | {"name": scorer}}
        yield shared | {
            "id": digest("configuration", model, protocol, seed, allocator, scorer, ratio),
            "label": f"{allocator} x {scorer} @ {ratio}",
            "allocator": allocator,
            "allocator_args": {},
            "scorer": scorer,
            "scorer_args": {},
            "spec": shared | method,
        }


def _cell(configuration: str, task: int, n_samples: int) -> dict[str, Any]:
    return {
        "id": digest("cell", configuration, task),
        "configuration_id": configuration,
        "task": f"task_{task:02}",
        "task_version": "1",
        "data_revision": "",
        "length": 1024,
        "samples_asked": n_samples,
    }


def _samples(seed: int, n_samples: int) -> Iterator[dict[str, Any]]:
    for task, ordinal in product(range(N_TASKS), range(n_samples)):
        yield {
            "id": digest("sample", task, seed, ordinal),
            "task": f"task_{task:02}",
            "task_version": "1",
            "length": 1024,
            "ordinal": ordinal,
            "prompt_hash": digest("prompt", task, seed, ordinal),
            "generation_hash": f"seed {seed}",
            "facets": {"depth": ordinal % 5},
            "reference_answers": [str(7 * ordinal)],
        }


_BULK = (
    """
    CREATE TEMP TABLE made AS
    SELECT c.id, c.task, g.seed, row_number() OVER () AS number, CASE WHEN g.ratio IS NULL THEN 900 ELSE
        900 - 700 * CAST(g.ratio AS REAL) + 10 * (length(g.allocator) + length(g.scorer)) END AS quality
    FROM cell c JOIN configuration g ON g.id = c.configuration_id
    """,
    "CREATE INDEX temp.made_task ON made (task, seed)",
    "CREATE UNIQUE INDEX temp.made_id ON made (id)",
    """
    INSERT INTO answer (cell_id, sample_id, run_id, status, text, score, n_context_tokens, n_question_tokens,
        n_generated_tokens, stop_reason, kv_tokens_full, kv_tokens_kept, kv_bytes_full, kv_bytes_kept, events,
        created_at)
    SELECT m.id, s.id, (SELECT id FROM run), 'done',
        'The number is ' || ((m.number * 31 + s.ordinal * 7) % 1000) || '.',
        (m.number * 7919 + s.ordinal * 104729) % 1000 < m.quality, 1000, 20, 9, 'eos', 90000, 18000, 46080000, 9216000,
        CASE WHEN (m.number + s.ordinal) % 50 = 0 THEN '[{"event":"truncated_middle"}]' ELSE '[]' END,
        '2026-11-27 12:00:00.000000'
    FROM sample s JOIN made m ON m.task = s.task AND m.seed = CAST(substr(s.generation_hash, 6) AS INTEGER)
    """,
    "INSERT INTO timing SELECT id, 'indicative', 1.0, 0.125, 1.25, 0.0625 FROM answer",
    f"""
    INSERT INTO allocation
    SELECT m.number, '[' || substr(replace(printf('%.*c', {N_LAYERS}, 'x'), 'x',
        ',[' || (100 + m.number % 100) || ',' || (300 - m.number % 100) || ',200]'), 2) || ']' FROM made m
    """,
    "INSERT INTO answer_allocation SELECT a.id, m.number FROM answer a JOIN made m ON m.id = a.cell_id",
    """
    UPDATE cell SET score = s.score, stderr = s.stderr FROM (
        SELECT cell_id, 100 * avg(score) AS score,
            100 * sqrt(avg(score) * (1 - avg(score)) / (max(count(*) - 1, 1))) AS stderr
        FROM answer GROUP BY cell_id
    ) s WHERE s.cell_id = cell.id
    """,
)


def _fill_summaries(connection: sqlite3.Connection) -> None:
    """As `db.summaries` would write them, which takes minutes for so many cells."""
    lists: dict[tuple[str, int], list[str]] = {}
    samples = "SELECT task, CAST(substr(generation_hash, 6) AS INTEGER), id FROM sample ORDER BY ordinal"
    for task, seed, sample in connection.execute(samples):
        lists.setdefault((task, seed), []).append(sample)
    numbers = {place: number for number, place in enumerate(lists)}
    rows = [(numbers[place], json.dumps(samples, separators=(",", ":"))) for place, samples in lists.items()]
    connection.executemany("INSERT INTO sample_list VALUES (?, ?)", rows)
    made = connection.execute("SELECT id, task, seed, number, quality FROM made").fetchall()
    columns = {
        "cell_id": "?", "n": "?", "n_failed": "0", "n_covered": "?", "n_timed": "?", "machine": "'a machine'",
        "environment": f"'{digest('environment')}'", "kv_tokens_full": "90000.0", "kv_tokens_kept": "18000.0",
        "kv_bytes_full": "46080000.0", "kv_bytes_kept": "9216000.0", "ttft_s": "1.25", "tpot_s": "0.0625",
        "prefill_s": "1.0", "evict_s": "0.125", "events": "?", "sample_list_id": "?", "scores": "?",
    }  # fmt: skip
    insertion = f"INSERT INTO cell_summary ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
    connection.executemany(insertion, (_summary(lists, numbers, *row) for row in made))


def _summary(
    lists: dict[tuple[str, int], list[str]],
    numbers: dict[tuple[str, int], int],
    *made: Any,
) -> tuple[Any, ...]:
    cell, task, seed, number, quality = made
    ordinal = np.arange(len(lists[task, seed]))
    scores = ((number * 7919 + ordinal * 104729) % 1000 < quality).astype("<f8")
    n_events = int(((number + ordinal) % 50 == 0).sum())
    events = json.dumps({"truncated_middle": n_events} if n_events else {}, separators=(",", ":"))
    return cell, len(ordinal), len(ordinal), len(ordinal), events, numbers[task, seed], scores.tobytes()


def _check_summaries(store: Store) -> None:
    """A few of them against those of `db.summaries`."""
    with store.reading() as connection:
        cells = connection.scalars(select(schema.Cell.id).limit(3)).all()
        of_cells = select(schema.CellSummary.__table__).where(schema.CellSummary.cell_id.in_(cells))
        filled = connection.execute(of_cells.order_by(schema.CellSummary.cell_id)).all()
    with store.writing() as connection:
        connection.execute(delete(schema.CellSummary).where(schema.CellSummary.cell_id.in_(cells)))
        write_summaries(connection, cells)
        made = connection.execute(of_cells.order_by(schema.CellSummary.cell_id)).all()
    if [row[:-2] + row[-1:] for row in map(tuple, filled)] != [row[:-2] + row[-1:] for row in map(tuple, made)]:
        raise RuntimeError(f"summaries differ from those that a run writes: {filled[0]} and {made[0]}")
