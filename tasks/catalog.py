"""The tasks there are and what each one is. Light: the command line's help and lists import it."""

from dataclasses import dataclass
from difflib import get_close_matches

from .. import UserError
from .definitions import definition_files, read_definition


@dataclass(frozen=True)
class TaskInfo:
    """A task as its definition describes it."""

    name: str
    family: str
    summary: str
    source: str
    """The paper and the code that define the task."""
    version: str
    """Raised by hand when samples or scoring change for the same task, length, seed and data."""
    max_new_tokens: int
    needs_length: bool
    """Whether samples are made to a length; otherwise they are as long as their data."""
    needs_essays: bool
    """Whether loading asks for the archive of essays (a download the first time)."""


def names() -> list[str]:
    """Every task's name, family by family."""
    return list(definition_files())


def task_info(name: str) -> TaskInfo:
    """The task of that name; an unknown name is a UserError with the nearest known one."""
    path = definition_files().get(name)
    if path is None:
        raise UserError(_unknown(name))
    definition = read_definition(path)
    metadata = definition["metadata"]
    return TaskInfo(
        name=definition["task"],
        family=metadata["family"],
        summary=metadata["summary"],
        source=metadata["source"],
        version=str(metadata["version"]),
        max_new_tokens=definition["generation_kwargs"]["max_gen_toks"],
        needs_length=metadata["needs_length"],
        needs_essays=definition.get("dataset_kwargs", {}).get("haystack") == "essay",
    )


def _unknown(name: str) -> str:
    near = get_close_matches(name, names(), n=1)
    if near:
        return f"There is no task {name!r}: did you mean {near[0]!r}?"
    return f"There is no task {name!r}: choose among {', '.join(names())}."
