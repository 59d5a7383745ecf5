"""Where the samples of a run or an export come from, and how many."""

from dataclasses import dataclass
from pathlib import Path

from ...tasks.own.data import OwnData


@dataclass(frozen=True)
class SampleSource:
    """Where samples come from.

    Attributes:
        limit: Samples of each task; tasks with fewer rows have fewer.
        data_dir: Local files in the originals' formats; None = each task's own source.
        samples_dir: Folder that `tasks export` wrote to; None = samples are made.
        own: The user's documents, a task of their own.
    """

    limit: int
    data_dir: Path | None = None
    samples_dir: Path | None = None
    own: OwnData | None = None
