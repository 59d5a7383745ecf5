"""A database of results that no model was needed for: scores as a test wants them."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.schema import Cell, Configuration, Environment, Model, Sample
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

Scores = Mapping[str, Mapping[str, Sequence[float]]]
MakeDatabase = Callable[..., Path]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _configuration(name: str, seed: int) -> Configuration:
    """Of "lukv x keydiff, prune 0.8", "uniform x keydiff, keep 256" or "full"."""
    method, _, budget = name.partition(", ")
    allocator, _, scorer = method.partition(" x ")
    kind, _, amount = budget.partition(" ")
    reading = [role for role, plugin in (("allocator", allocator), ("scorer", scorer)) if "oracle" in plugin]
    return Configuration(
        id=_hash(f"{name} {seed}"),
        label=name,
        model_revision="m",
        dtype="float32",
        attention="sdpa",
        protocol="agnostic",
        chat_form="none",
        truncation="middle",
        allocator=allocator,
        scorer=scorer or None,
        ratio=amount if kind == "prune" else None,
        keep_tokens=int(amount) if kind == "keep" else None,
        sink=4,
        schedule="one-shot",
        seed=seed,
        code_version="0.1.0+1",
        spec={"allocator": allocator, "scorer": scorer, "ratio": budget, "seed": seed}
        | ({"oracle": reading} if reading else {}),
    )


def make_database(
    path: Path, scores: Scores, seeds: Sequence[int] = (0,), document: Callable[[int], str] | None = None
) -> Path:
    """A database of {configuration: {task: scores [0, 100]}}; a sample's document by its ordinal."""
    with Store.open(resolve_url(str(path)), create=True) as store:
        store.put(Model(revision="m", name="tiny", n_layers=2, n_kv_heads=2, n_query_heads=4, head_dim=8))
        run = store.start_run(["run"], Environment(id="e", python="3.11", platform="linux", machine="a", packages={}))
        for seed in seeds:
            for name, tasks in scores.items():
                configuration = _configuration(name, seed)
                store.put(configuration)
                for task, values in tasks.items():
                    _put(store, run, configuration, task, values, document)
    return path


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MakeDatabase:
    """`make_database` for tests that only read: equal results are made once."""
    folder = tmp_path_factory.mktemp("once")

    def made(scores: Scores, seeds: Sequence[int] = (0,), document: Callable[[int], str] | None = None) -> Path:
        longest = max(len(values) for tasks in scores.values() for values in tasks.values())
        documents = None if document is None else [document(ordinal) for ordinal in range(longest)]
        path = folder / f"{_hash(json.dumps([scores, seeds, documents]))}.db"
        return path if path.exists() else make_database(path, scores, seeds, document)

    return made


@pytest.fixture
def database(tmp_path: Path, once: MakeDatabase) -> MakeDatabase:
    """The same, as a file of the test's own."""

    def copied(*arguments: Any, **more: Any) -> Path:
        return Path(shutil.copy(once(*arguments, **more), tmp_path / "views.db"))

    return copied


def _put(
    store: Store,
    run: str,
    configuration: Configuration,
    task: str,
    values: Sequence[float],
    document: Callable[[int], str] | None,
) -> None:
    cell = _hash(f"{configuration.id} {task}")
    identity = {"task": task, "task_version": "1", "length": 1024}
    samples = [
        Sample(
            id=f"{task} {configuration.seed} {i}", ordinal=i, prompt_hash="p", generation_hash="g",
            facets=None if document is None else {"document": document(i)}, reference_answers=["42"], **identity,
        )
        for i in range(len(values))
    ]  # fmt: skip
    store.put(Cell(id=cell, configuration_id=configuration.id, samples_asked=len(values), **identity), *samples)
    for sample, value in zip(samples, values, strict=True):
        kept = 100 if configuration.ratio is None else round(100 * (1 - float(configuration.ratio)))
        store.put_answer(
            AnswerRecord(
                cell_id=cell, sample_id=sample.id, run_id=run, text=f"{configuration.label} says {value:g}",
                score=value / 100, kv_tokens_full=100, kv_tokens_kept=kept, kv_bytes_full=1600, kv_bytes_kept=16 * kept,
            )
        )  # fmt: skip
