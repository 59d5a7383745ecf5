"""The specification of a run, checked without a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from ... import UserError
from ...tasks.catalog import TaskInfo, expand, task_info
from ..methods.method import Method
from ..record.configuration import RunProtocol
from ..samples.source import SampleSource

TasksAtLengths = tuple[tuple[TaskInfo, int | None], ...]
"""Each task with its length in tokens, None where the task has none."""


@dataclass(frozen=True)
class TaskMethods:
    """A task at a length under a seed, and the methods that answer it.

    Attributes:
        length: In tokens; None where the task has none.
        seed: Of its samples, and of methods that draw at random.
        methods: At least one.
    """

    info: TaskInfo
    length: int | None
    seed: int
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class RunSpec:
    """The specification of a run on one model.

    Attributes:
        tasks: In the order in which they are answered.
        truncate: Whether to cut the middle of contexts that are too long, in tasks that allow it.
        max_length: Tokens of prompt and answer together; None = the model's positions.
    """

    tasks: tuple[TaskMethods, ...]
    protocol: RunProtocol
    source: SampleSource
    truncate: bool = True
    max_length: int | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """Each once, in order."""
        return tuple({method.label: method for task in self.tasks for method in task.methods}.values())

    def truncation(self, info: TaskInfo) -> str:
        """What happens to a sample of this task that is too long, as a configuration records it: "refuse", "middle" at
        the model's positions, or "middle-N" at N tokens."""
        if not self.truncate or info.truncation == "refuse":
            return "refuse"
        return info.truncation if self.max_length is None else f"{info.truncation}-{self.max_length}"


def tasks_at_lengths(names: Sequence[str], lengths: Sequence[int], own: TaskInfo | None = None) -> TasksAtLengths:
    """Every task at every length; a family or group stands for its tasks. `own` is one that is in no catalog.

    Raises:
        UserError: an unknown task, or a length that is no number of tokens.
    """
    for length in lengths:
        if length < 1:
            raise UserError(f"--length takes a number of tokens such as 1024, not {length}.")
    infos = [task_info(name) for name in expand([name for name in names if own is None or name != own.name])]
    if own is not None and own.name in names:
        infos.append(own)
    return tuple(
        (info, length) for info in infos for length in (dict.fromkeys(lengths) if info.needs_length else (None,))
    )


def without_length(tasks: Sequence[tuple[TaskInfo, int | None]]) -> str | None:
    """A note on the tasks that --length does not apply to; None if there are none.

    Raises:
        UserError: it applies to none of the tasks.
    """
    names = list(dict.fromkeys(info.name for info, length in tasks if length is None))
    if not names:
        return None
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    sentence = f"--length does not apply to {listed}, whose samples are as long as their data"
    if all(length is None for _, length in tasks):
        raise UserError(f"{sentence}; leave it out.")
    return sentence
