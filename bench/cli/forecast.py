"""What `run --dry-run` prints."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..models.memory import size
from ..reports.layout import fitted
from ..reports.progress import duration
from ..reports.table import print_note, terminal_width

if TYPE_CHECKING:
    from ..run.forecast import Forecast, TaskForecast

SUFFIX = "Nothing was answered, and nothing was stored."


def print_forecasts(forecasts: "Sequence[Forecast]", *, as_json: bool) -> None:
    """Print what a run would do on each model."""
    if as_json:
        print(json.dumps([_row(one) for one in forecasts], indent=1))
        return
    for one in forecasts:
        lines, _ = fitted(_title(one), _columns(one.tasks), terminal_width())
        print("\n".join(lines), end="\n\n")
        for line in _notes(one):
            print_note(line)
    print_note(SUFFIX)


def _row(one: "Forecast") -> dict[str, Any]:
    tasks = [asdict(task) | {"n_answers": task.n_answers} for task in one.tasks]
    return asdict(one) | {"tasks": tasks, "n_answers": one.n_answers, "n_done": one.n_done}


def _title(one: "Forecast") -> str:
    return f"{one.model} ({one.revision[:8]}), {one.dtype}, {one.device}: {one.n_answers - one.n_done} answers to give"


def _columns(tasks: "Sequence[TaskForecast]") -> dict[str, list[str]]:
    """The columns of the table, a row for each task."""
    return {
        "task": [task.task for task in tasks],
        "length": ["-" if task.length is None else str(task.length) for task in tasks],
        "seed": [str(task.seed) for task in tasks],
        "context tokens": [str(task.n_context) for task in tasks],
        "cells": [str(task.n_cells) for task in tasks],
        "samples": [str(task.n_samples) for task in tasks],
        "answers": [str(task.n_answers) for task in tasks],
        "done": [str(task.n_done) for task in tasks],
    }


def _notes(one: "Forecast") -> Iterator[str]:
    if one.n_done == one.n_answers:
        yield "Everything is done."
    elif one.n_stored:
        yield f"Time: about {duration(one.seconds)}, by {one.n_stored} samples that this machine answered before."
    else:
        yield (
            f"Time: at most {duration(one.seconds)}, by one prefill and a few answer tokens measured now: each answer "
            "is taken to use its whole room, and each cell to decode alone."
        )
    if one.to_make:
        yield f"Not counted: {'; '.join(one.to_make)}, which takes minutes."
    whole = one.weight_bytes + one.kv_bytes
    yield (
        f"Memory: {size(whole)}, {size(one.weight_bytes)} of it weights and the rest the longest context's cache and "
        "what is kept of it; the activations of a prefill come on top."
    )
