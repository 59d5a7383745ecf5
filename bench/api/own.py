"""The options that make a task of a user's own documents, and what such a run needs besides."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ... import UserError
from .defaults import LIMIT, TASKS
from .several import names_of
from .values import at_least_one, one_of, storable

if TYPE_CHECKING:
    from ...tasks.own.data import OwnData
    from ..reports.progress import Progress
    from ..run.spec import TaskMethods
    from .grid import Grid


def own_documents(grid: "Grid") -> "OwnData | None":
    """The task that `data` names; None without it.

    Raises:
        UserError: an option that goes with it stands alone, one that does not is given, or the data cannot be used.
    """
    if grid.data is None:
        for name in ("metric", "question", "data_name", "answer_tokens"):
            if getattr(grid, name) not in (None, (), []):
                raise UserError(
                    f"--{name.replace('_', '-')} goes with --data FILE; name your documents, or leave it out."
                )
        return None
    if grid.tasks != TASKS:
        raise UserError("give either --tasks or --data: own documents are the task of their run.")
    for option, value in (("--samples", grid.samples), ("--data-dir", grid.data_dir)):
        if value is not None:
            raise UserError(f"give either {option} or --data: own documents need no other samples.")
    from ...tasks.own.data import METRICS, own_data
    from ..files.access import user_path

    if grid.metric is not None:
        one_of("--metric", grid.metric, METRICS)
    if grid.answer_tokens is not None:
        at_least_one("--answer-tokens", grid.answer_tokens)
        storable("--answer-tokens", grid.answer_tokens)
    path = user_path(Path(grid.data), "--data")
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"--data {grid.data} is no file or folder; name a .jsonl, .csv, .txt or .md file, or a folder.")
    return own_data(path, names_of(grid.question, "--question") or [], grid.metric, grid.data_name, grid.answer_tokens)


def samples_of(grid: "Grid", own: "OwnData | None") -> int:
    """The most samples of each task: all questions about own documents, unless a limit is given."""
    if grid.limit is not None:
        return grid.limit
    return LIMIT if own is None else len(own.questions)


def with_full(tasks: "tuple[TaskMethods, ...]") -> "tuple[TaskMethods, ...]":
    """The tasks with the full cache among the methods of those whose references are its answers."""
    from ..methods.method import build_methods

    (full,) = build_methods(["full"], [], [], None, None, False)
    return tuple(
        replace(task, methods=(full, *task.methods))
        if task.info.needs_full and all(method.scorer is not None for method in task.methods)
        else task
        for task in tasks
    )


def note_own(own: "OwnData", grid: "Grid", progress: "Progress") -> None:
    """Say what is asked, how it is scored, and what is not read."""
    progress.note(f"{own.info.name}: {own.info.summary.partition(': ')[2]}, scored by {_measure(own)}")
    if own.unused:
        listed = ", ".join(own.unused[:3]) + (f" and {len(own.unused) - 3} more" if len(own.unused) > 3 else "")
        progress.message(f"not read, since they are no .txt or .md files: {listed}")
    if own.info.needs_full and any(question.answers for question in own.questions):
        progress.message("the answers in the data are not used: --metric none compares with the full cache's answers")
    if own.info.needs_full and not grid.baselines:
        progress.note("the full cache is answered, too: its answers are the references of --metric none")


def _measure(own: "OwnData") -> str:
    metric = own.info.definition.removeprefix("own_")
    return "equality with the full cache's answer" if own.info.needs_full else f"--metric {metric}"
