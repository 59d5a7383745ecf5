"""What `run --dry-run` prints."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...db.sizes import size
from ..reports.layout import fitted
from ..reports.progress import duration
from ..reports.table import print_note, terminal_width

if TYPE_CHECKING:
    from ..cost.forecast import CellForecast, CostForecast
    from ..run.forecast import Forecast, TaskForecast

SUFFIX = "Nothing was answered, and nothing was stored."
SUFFIX_OF_COST = "Nothing was measured, and nothing was stored; how long it takes is not estimated."


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
    if n_oracles := sum(task.n_oracles for task in one.tasks):
        yield (
            f"{n_oracles} of the cells are oracles, which are ranked nowhere; for them each question and its reference "
            "answer are read once more, which is not counted."
        )
    whole = one.weight_bytes + one.kv_bytes
    yield (
        f"Memory: {size(whole)}, {size(one.weight_bytes)} of it weights and the rest the longest context's cache and "
        "what is kept of it; the activations of a prefill come on top."
    )


def print_cost_forecasts(forecasts: "Sequence[CostForecast]", *, as_json: bool) -> None:
    """Print what a run would measure on each model."""
    if as_json:
        print(json.dumps([asdict(one) | {"n_todo": one.n_todo} for one in forecasts], indent=1))
        return
    for one in forecasts:
        title = f"{one.model} ({one.revision[:8]}), {one.dtype}, {one.device}: {one.n_todo} cells to measure"
        lines, _ = fitted(title, _columns_of_cells(one.cells), terminal_width())
        print("\n".join(lines), end="\n\n")
        for line in _notes_of_cost(one):
            print_note(line)
    print_note(SUFFIX_OF_COST)


def _columns_of_cells(cells: "Sequence[CellForecast]") -> dict[str, list[str]]:
    """The columns of the table, a row for each cell."""
    return {
        "method": [cell.method for cell in cells],
        "task": [cell.task for cell in cells],
        "length": ["-" if cell.length is None else str(cell.length) for cell in cells],
        "seed": [str(cell.seed) for cell in cells],
        "context tokens": [str(cell.n_context) for cell in cells],
        "question tokens": [str(cell.n_question) for cell in cells],
        "": ["done" if cell.is_done else "to measure" for cell in cells],
    }


def _notes_of_cost(one: "CostForecast") -> Iterator[str]:
    settings = one.settings
    if not one.n_todo:
        yield "Everything is done."
    else:
        batch = "" if settings.max_memory is None else f", then the largest batch within {size(settings.max_memory)}"
        yield (
            "Each in a process of its own: the gate, a repeat that does not count and "
            f"{settings.n_repeats} that do, each of the prefill, the eviction and {settings.n_new_tokens} tokens"
            f"{batch}."
        )
    if one.to_make:
        yield f"Made first: {'; '.join(one.to_make)}, which takes minutes."
