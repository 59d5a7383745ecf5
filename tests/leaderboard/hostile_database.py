"""Databases that a stranger filled: texts of every class in every column, and JSON of every wrong shape."""

import re
import shutil
from pathlib import Path
from typing import Any

from lukv_bench.db.arrays import pack_arrays
from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.schema import Cell, Configuration, Environment, MethodPage, Model, Profile, Sample, Task
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .hostile import HOSTILE
from .measured_database import write_hostile_costs

TASK = "questions"
HOSTILE_FACET = "![x](http://evil.example/x.png) <img src=x onerror=alert(1)>"


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """What a text column takes: no driver writes half a surrogate pair or a NUL there. JSON columns take both."""
    return _UNSTORABLE.sub("", text)


def write_hostile_texts(path: Path) -> Path:
    """A task with a sample for each class of HOSTILE, and for each class a task, a configuration and a method too.

    Every configuration of a class answers its own task; three well-named ones answer `TASK`, as does that of the class
    "everything", so that such a name is ranked and drawn.
    """
    with Store.open(resolve_url(str(path)), create=True) as store:
        model = Model(
            revision="m" * 64,
            name=storable(HOSTILE["script"] + HOSTILE["bidi"]),
            n_layers=2,
            n_kv_heads=2,
            n_query_heads=4,
            head_dim=8,
            details={HOSTILE["script"]: [HOSTILE["surrogate"]]},
        )
        store.put(model, *_methods(), *_tasks())
        environment = Environment(
            id="e" * 64,
            python=HOSTILE["script"],
            platform=HOSTILE["markdown_image"],
            machine=HOSTILE["formula_equals"],
            packages={HOSTILE["html"]: HOSTILE["bidi"]},
        )
        run = store.start_run(["lukv-bench", "run", *map(storable, HOSTILE.values())], environment)
        _fill(store, run)
        write_hostile_costs(store, run)
        store.finish_run(run, 0)
    return path


def _methods() -> list[MethodPage]:
    return [
        MethodPage(
            kind=kind,
            name=storable(text),
            distribution=storable(text)[:100],
            version=f"1.{number}",
            summary=storable(text),
            source=storable(text),
            details=f"{text}\n\n```\n{text}\n```\n\n[{text}]({text}) ![x](https://evil.example/y.png) <b>{text}</b>",
            arguments=[{"name": text, "type": text, "default": text, "required": False, "meaning": text}],
        )
        for number, text in enumerate(HOSTILE.values())
        for kind in ("allocator", "scorer")[number % 2 :][:1]
    ]


def _tasks() -> list[Task]:
    return [
        Task(name=storable(text), version="1", family=storable(text), metric=storable(text), summary=text, source=text)
        for text in HOSTILE.values()
    ]


def _configuration(identity: str, allocator: str, scorer: str | None, **other: Any) -> Configuration:
    values: dict[str, Any] = {
        "id": identity,
        "label": allocator,
        "model_revision": "m" * 64,
        "dtype": "float32",
        "attention": "sdpa",
        "protocol": "agnostic",
        "chat_form": "none",
        "truncation": "refuse",
        "allocator": allocator,
        "scorer": scorer,
        "ratio": None if scorer is None else "0.8",
        "sink": 4,
        "window": 1,
        "schedule": "one-shot",
        "seed": 0,
        "code_version": "0.1.0+results.1",
        "spec": {"truncation": "refuse"},
    }
    return Configuration(**(values | other))


def _cell(identity: str, configuration: str, task: str, n: int) -> Cell:
    return Cell(id=identity, configuration_id=configuration, task=task, task_version="1", length=1024, samples_asked=n)


def _sample(identity: str, task: str, ordinal: int, text: str) -> Sample:
    return Sample(
        id=identity,
        task=task,
        task_version="1",
        length=1024,
        ordinal=ordinal,
        prompt_hash="p",
        generation_hash="g",
        facets={
            text: text,
            HOSTILE_FACET: ("configuration", text[:40])[ordinal % 2],
            "a\nb": ordinal % 2,
            "a b": ordinal % 2,
        },
        reference_answers=[text, "right"],
    )


def _answer(cell: str, sample: str, run: str, text: str, score: float) -> AnswerRecord:
    return AnswerRecord(
        cell_id=cell,
        sample_id=sample,
        run_id=run,
        text=text,
        score=score,
        stop_reason=storable(text),
        n_context_tokens=1000,
        n_generated_tokens=9,
        kv_tokens_full=4000,
        kv_tokens_kept=800,
        kv_bytes_full=2**40,
        kv_bytes_kept=2**38,
        events=({"event": text, text: text},),
        keep_counts=[[100, 300], [250, 150]],
    )


def _fill(store: Store, run: str) -> None:
    usual = {"full": ("full", None), "uniform": ("uniform", "keydiff"), "lukv": ("lukv", "keydiff")}
    store.put(
        *(_configuration(each, *method) for each, method in usual.items()),
        *(_cell(f"{each} {TASK}", each, TASK, len(HOSTILE)) for each in usual),
        *(_sample(f"{TASK} {name}", TASK, number, text) for number, (name, text) in enumerate(HOSTILE.items())),
    )
    for number, (name, text) in enumerate(HOSTILE.items()):
        for each in usual:
            answer = _answer(f"{each} {TASK}", f"{TASK} {name}", run, text, float((number + len(each)) % 2))
            store.put_answer(answer)
        plain = storable(text)
        arguments = {text: text, "deep": [[text]]}
        store.put(
            _configuration(f"c {name}", plain, plain, allocator_args=arguments, scorer_args={"x": text}),
            _cell(f"full {name}", "full", plain, 1),
            _cell(f"c {name}", f"c {name}", plain, 1),
            _sample(f"s {name}", plain, 0, text),
        )
        store.put_answer(_answer(f"full {name}", f"s {name}", run, text, 1.0))
        store.put_answer(AnswerRecord.failure(f"c {name}", f"s {name}", run, storable(text)))
    store.put(_cell(f"everything {TASK}", "c everything", TASK, len(HOSTILE)))
    for number, (name, text) in enumerate(HOSTILE.items()):
        answer = _answer(f"everything {TASK}", f"{TASK} {name}", run, text, float(number % 3 == 0))
        store.put_answer(answer)


WRONG_SHAPES = (
    "UPDATE configuration SET allocator_args = '[1, 2]' WHERE id = 'lukv'",
    "UPDATE configuration SET spec = 'null' WHERE id = 'uniform'",
    "UPDATE configuration SET scorer_args = '{\"a\": ' WHERE id = 'lukv'",
    "UPDATE method SET arguments = '{\"name\": 3}'",
    "UPDATE answer SET events = '{\"event\": [1]}' WHERE cell_id LIKE 'lukv%'",
    "UPDATE answer SET events = '[7, null, {\"event\": null}, [[]]]' WHERE cell_id LIKE 'uniform%'",
    "UPDATE answer SET kv_tokens_full = 9e999, kv_bytes_kept = 'many' WHERE cell_id LIKE 'lukv%'",
    "UPDATE sample SET facets = '[[[[', reference_answers = '{\"a\": NaN}'",
    "UPDATE allocation SET counts = '[[1], [2, 3], \"x\"]'",
    "UPDATE environment SET packages = '3'",
    "UPDATE run SET command = '{\"x\": 1}'",
    "UPDATE model SET details = '[]'",
    "UPDATE configuration SET profile_hash = 'p' WHERE id = 'lukv'",
    "UPDATE cost_repeat SET token_s = '{\"a\": 1}' WHERE cost_id = 'cost 0'",
    "UPDATE cost_repeat SET prefill_s = 'much', peak_bytes = 9e999 WHERE cost_id = 'cost 2'",
    "UPDATE cost SET kv_bytes_kept = 'x', footprint = 'y', model_bytes = -1, length = 'z' WHERE id = 'cost 4'",
    "UPDATE cost SET details = '[', n_new_tokens = 'many', started_at = '0' WHERE id = 'cost 6'",
)


def write_wrong_shapes(hostile_texts: Path, path: Path) -> Path:
    """The same rows, then changed by another program: JSON of another shape, numbers that are texts, no arrays."""
    shutil.copy(hostile_texts, path)
    with Store.open(resolve_url(str(path)), create=False) as store:
        store.put(Profile(hash="p", model_revision="m" * 64, arrays=pack_arrays({})))
        with store.writing() as connection:
            for statement in (*WRONG_SHAPES, "UPDATE profile SET arrays = x'00ff', details = '7'"):
                connection.exec_driver_sql(statement)
    return path
