"""The catalog of tasks. It is quick to import, since the command line's help and lists use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from .. import UserError
from .definitions import definition_files, read_definition

Truncation = Literal["refuse", "middle"]
"""How a sample that is too long for the model is handled: it is refused, or the middle of its context is cut."""


@dataclass(frozen=True)
class TaskInfo:
    """A task as its definition describes it."""

    name: str
    family: str
    groups: tuple[str, ...]
    """Names besides its family's that select this task together with others."""
    summary: str
    source: str
    """The paper and the code that define the task."""
    version: str
    """Raised by hand when samples or scoring change for the same task, length, seed and data."""
    metric: str
    """The name of the measure that scores an answer."""
    max_new_tokens: int
    needs_length: bool
    """Whether samples are made to a length; otherwise they are as long as their data."""
    needs_essays: bool
    """Whether loading asks for the archive of essays (a download the first time)."""
    chat: bool
    """Whether the user turn goes into the model's chat template if it has one; False = never."""
    truncation: Truncation
    first_line: bool
    """Whether only the first line of the answer that holds text is scored, so that decoding may end there."""
    needs_full: bool
    """Whether the references are the full cache's answers; otherwise documents have their own."""
    questions: int
    """Samples on each context, one after the other; 1 = each has its own."""
    definition: str
    """The name of its definition: its own, but for tasks of own documents, which share one for each metric."""


def names() -> list[str]:
    """Every task's name, family by family."""
    return list(definition_files())


def families() -> dict[str, list[str]]:
    """Name of a family or a group -> its tasks."""
    groups: dict[str, list[str]] = {}
    for info in map(task_info, names()):
        for group in (info.family, *info.groups):
            groups.setdefault(group, []).append(info.name)
    return groups


def expand(requested: Sequence[str]) -> list[str]:
    """The tasks that names of tasks, families and groups select, each once, in order.

    An unknown name is a UserError with the nearest known one.
    """
    tasks = {name: [name] for name in names()}
    if not tasks.keys() >= set(requested):
        tasks |= families()  # reads every definition
    for name in requested:
        if name not in tasks:
            raise UserError(_unknown(name))
    return list(dict.fromkeys(task for name in requested for task in tasks[name]))


def task_info(name: str) -> TaskInfo:
    """The task of that name; an unknown name is a UserError with the nearest known one, a family's one with its
    tasks."""
    path = definition_files().get(name)
    if path is None:
        raise UserError(_unknown(name))
    return info_of(path)


def info_of(path: Path) -> TaskInfo:
    """The task that a definition's file describes."""
    definition = read_definition(path)
    metadata = definition["metadata"]
    return TaskInfo(
        name=definition["task"],
        family=metadata["family"],
        groups=tuple(metadata.get("groups", ())),
        summary=metadata["summary"],
        source=metadata["source"],
        version=str(metadata["version"]),
        metric=metadata["metric"].partition(":")[2],
        max_new_tokens=definition["generation_kwargs"]["max_gen_toks"],
        needs_length=metadata["needs_length"],
        needs_essays=definition.get("dataset_kwargs", {}).get("haystack") == "essay",
        chat=metadata.get("chat", True),
        truncation=metadata["truncation"],
        first_line=metadata.get("first_line", False),
        needs_full=metadata.get("needs_full", False),
        questions=metadata.get("questions", 1),
        definition=definition["task"],
    )


def _unknown(name: str) -> str:
    tasks_by_family = families()
    if name in tasks_by_family:
        tasks = ", ".join(tasks_by_family[name])
        return f"{name!r} is a family of tasks, and one task is expected here: choose among {tasks}."
    folded = {word.casefold(): word for word in (*tasks_by_family, *names())}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    if near:
        return f"There is no task {name!r}: did you mean {folded[near[0]]!r}?"
    choices = ", ".join(sorted(tasks_by_family))
    return f"There is no task {name!r}: choose among {choices} or their single tasks (lukv-bench list tasks)."
