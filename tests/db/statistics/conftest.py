"""Frames of cells and scores."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pytest

Frames = tuple[pd.DataFrame, pd.DataFrame]
MakeFrames = Callable[..., Frames]


@pytest.fixture
def frames() -> MakeFrames:
    """Cells and scores as the record gives them, of {configuration: {task: scores}}; None is a missing answer."""

    def make(scores: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Frames:
        cells, answers = [], []
        for configuration, tasks in scores.items():
            for task, values in tasks.items():
                cell = f"{configuration} on {task}"
                status = "partial" if None in values else "complete"
                cells.append((cell, configuration, task, 1024, "1", "", status))
                answers += [(cell, f"{task} {i}", value) for i, value in enumerate(values) if value is not None]
        columns = ["cell", "configuration", "task", "length", "task_version", "data_revision", "status"]
        return pd.DataFrame(cells, columns=columns), pd.DataFrame(answers, columns=["cell", "sample", "score"])

    return make
