"""Which configurations are complete, and the table of their scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .arrays import Booleans, Floats, Integers
from .table import ScoreTable

PLACE = ("task", "length", "task_version", "data_revision")
"""Cells that share these ask the same questions. A frame of cells may lack the last two."""


def score_table(cells: pd.DataFrame, scores: pd.DataFrame) -> tuple[ScoreTable, pd.DataFrame]:
    """The table of the configurations that are complete, and a frame of those that are not.

    A configuration is complete when it has a complete cell on every (task, length) of `cells`, and a score for every
    sample that some complete cell answered there. A mean over fewer would be a mean over other questions.

    Args:
        cells: A row per cell of one setting: columns cell, configuration, task, length and status, and the other
            columns of PLACE where several versions may be mixed.
        scores: A row per scored answer: columns cell, sample and score [0, 100], and document where samples share one.

    Returns:
        The table, configurations in the order of `cells`; and columns configuration, n_complete (tasks), n_tasks and
        missing (a list of texts, one for each task that is not complete).
    """
    groups = cells.groupby([name for name in PLACE if name in cells], dropna=False, sort=False)
    place: Integers = groups.ngroup().to_numpy().astype(np.int64)
    configuration, configurations = pd.factorize(cells["configuration"])
    is_complete = (cells["status"] == "complete").to_numpy()
    titles = [place_title(task, length) for task, length in cells.groupby(place)[["task", "length"]].first().to_numpy()]

    answers = _answers(cells, scores, place)
    asked = answers[is_complete[answers["cell"]]].drop_duplicates(["place", "sample"])
    asked = asked.sort_values(["place", "document", "sample"])
    column = np.full(answers["sample"].max() + 1 if len(answers) else 0, -1)
    column[asked["sample"]] = np.arange(len(asked))
    answers = answers[column[answers["sample"]] >= 0]
    table = np.full((len(configurations), len(asked)), np.nan)
    table[configuration[answers["cell"]], column[answers["sample"]]] = answers["score"]

    has_cell = np.zeros((len(configurations), len(titles)), dtype=bool)
    has_cell[configuration[is_complete], place[is_complete]] = True
    task = asked["place"].to_numpy(dtype=np.int64)
    n_answered, n_samples = _counts(table, task, len(titles))
    is_whole = has_cell & (n_answered == n_samples)
    whole = is_whole.all(axis=1)
    document = pd.factorize(asked["document"])[0].astype(np.int64)
    complete = ScoreTable([str(name) for name in configurations[whole]], table[whole], task, document)
    return complete, _incomplete(configurations[~whole], titles, is_whole[~whole], n_answered[~whole], n_samples)


def _answers(cells: pd.DataFrame, scores: pd.DataFrame, place: Integers) -> pd.DataFrame:
    """The scored answers with numbers for names: cell (its row), place, sample and document (unique over places)."""
    row = pd.Series(np.arange(len(cells)), index=cells["cell"].to_numpy()).reindex(scores["cell"].to_numpy())
    kept = (row.notna().to_numpy()) & scores["score"].notna().to_numpy()
    cell = row.to_numpy()[kept].astype(np.int64)
    scores = scores[kept]
    names = {"sample": scores["sample"], "document": scores["document" if "document" in scores else "sample"]}
    numbers = {}
    for name, values in names.items():
        codes, uniques = pd.factorize(values)
        numbers[name] = pd.factorize(place[cell] * len(uniques) + codes)[0]
    return pd.DataFrame({"cell": cell, "place": place[cell], **numbers, "score": scores["score"].to_numpy(float)})


def _counts(table: Floats, task: Integers, n_tasks: int) -> tuple[Integers, Integers]:
    """[C, T] samples that each configuration has a score for, and [T] samples that there are."""
    is_of_task = np.equal.outer(task, np.arange(n_tasks))
    return (~np.isnan(table)).astype(np.int64) @ is_of_task, is_of_task.sum(axis=0)


def _incomplete(
    configurations: Sequence[str], titles: Sequence[str], is_whole: Booleans, n_answered: Integers, n_samples: Integers
) -> pd.DataFrame:
    missing = [
        [
            f"{title}: {answered} of {n} samples" if n else f"{title}: no configuration is complete"
            for title, one, answered, n in zip(titles, whole, row, n_samples, strict=True)
            if not one
        ]
        for whole, row in zip(is_whole, n_answered, strict=True)
    ]
    return pd.DataFrame(
        {
            "configuration": pd.Series([str(name) for name in configurations], dtype="object"),
            "n_complete": is_whole.sum(axis=1),
            "n_tasks": len(titles),
            "missing": pd.Series(missing, dtype="object"),
        }
    )


def place_title(task: str, length: int | None) -> str:
    """A task at a length: "niah_single_1 1280"; the task alone where it has none."""
    return task if pd.isna(length) else f"{task} {length}"
