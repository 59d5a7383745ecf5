"""Two configurations over the samples that both answered: differences task by task, and the samples that flipped."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...db.statistics.families import holm
from ...db.statistics.paired import Paired, TaskScores, compare_tasks

DIFFERENCE_COLUMNS = (
    *("task", "length", "n_samples", "score_a", "score_b", "difference", "low", "high", "p_value", "p_holm"),
    *("won", "lost", "tied", "samples_needed"),
)
FLIP_COLUMNS = ("task", "length", "ordinal", "score_a", "score_b", "difference", "sample")
DIRECTIONS = ("all", "won by B", "lost by B")

ALL_TASKS = "all tasks"


def shared_scores(cells: pd.DataFrame, scores: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """A row per sample that both configurations have a score for.

    Columns task, length, sample, ordinal, score_a, score_b and document.

    Args:
        cells: With the columns configuration, cell, task and length.
        scores: Of `read_sample_scores`, over the cells of the two.
        a: A configuration.
        b: Another, or the same.
    """
    documents = scores["document" if "document" in scores else "sample"]
    rows = scores.assign(document=documents).merge(cells[["cell", "configuration", "task", "length"]], on="cell")
    first, second = (rows[rows["configuration"] == each] for each in (a, b))
    key = ["task", "length", "sample"]
    columns = [*key, "ordinal", "document", "score"]
    both = first[columns].merge(second[[*key, "score"]], on=key, suffixes=("_a", "_b"))
    return both.sort_values(["task", "length", "ordinal"], ignore_index=True)


def incomplete_tasks(cells: pd.DataFrame, a: str, b: str) -> list[tuple[str, int | None]]:
    """The (task, length) that one of two has not answered in full, or over fewer samples than the other."""
    rows = cells[cells["configuration"].isin([a, b]) & (cells["status"] == "complete")]
    n_sides = len({a, b})
    groups = [(_place(*place), group) for place, group in _by_task(rows)]
    complete = {
        place for place, group in groups if group["configuration"].nunique() == n_sides and group["n"].nunique() == 1
    }
    return [place for place in (_place(*pair) for pair, _ in _by_task(cells)) if place not in complete]


def difference_table(shared: pd.DataFrame, incomplete: Sequence[tuple[str, int | None]] = ()) -> pd.DataFrame:
    """B less A: a row per task and length with DIFFERENCE_COLUMNS, and one over all of them.

    `p_holm` is corrected over the tasks. The row over all tasks leaves out the incomplete ones, and tasks weigh the
    same in it; it is missing where only one is left.

    Args:
        shared: Of `shared_scores`.
        incomplete: Of `incomplete_tasks`.
    """
    groups = [(_place(*place), _scores(group)) for place, group in _by_task(shared)]
    compared = [compare_tasks([scores]) for _, scores in groups]
    corrected = holm(np.array([each.p_value for each in compared]))[1]
    rows = [_row(place, each, float(p)) for (place, _), each, p in zip(groups, compared, corrected, strict=True)]
    whole = [scores for place, scores in groups if place not in incomplete]
    if len(whole) > 1:
        paired = compare_tasks(whole)
        rows.append(_row((ALL_TASKS, None), paired, paired.p_value))
    frame = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return frame.astype({"length": "Int64", "samples_needed": "Int64"})


def shown_differences(table: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks at of `difference_table`, first what a phone has room for; p, corrected, as a text."""
    p = ["< 0.001" if each < 0.001 else f"{each:.3f}" for each in table["p_holm"]]
    shown = table.drop(columns="p_value").assign(p_holm=p)
    shown = shown.rename(columns={"p_holm": "p"})
    first = ["task", "length", "difference", "low", "high", "p"]
    return shown[[*first, *(name for name in shown if name not in first)]]


def flip_table(shared: pd.DataFrame, direction: str = "all") -> pd.DataFrame:
    """The samples on which the two differ, with FLIP_COLUMNS, by task and ordinal.

    Args:
        shared: Of `shared_scores`.
        direction: One of DIRECTIONS.
    """
    frame = shared.assign(difference=shared["score_b"] - shared["score_a"])
    kept = {
        "all": frame["difference"] != 0,
        "won by B": frame["difference"] > 0,
        "lost by B": frame["difference"] < 0,
    }[direction]
    return frame.loc[kept, list(FLIP_COLUMNS)].reset_index(drop=True)


def place_of(flip: Mapping[Any, Any]) -> tuple[str, int | None]:
    """The task and length of a row of `flip_table`."""
    return _place(flip["task"], flip["length"])


def _scores(group: pd.DataFrame) -> TaskScores:
    """Of B, then of A: the site shows what B gains."""
    return TaskScores(
        group["score_b"].to_numpy(float), group["score_a"].to_numpy(float), group["document"].to_numpy(str)
    )


def _row(place: tuple[str, int | None], paired: Paired, p_holm: float) -> dict[str, Any]:
    values = {
        "task": place[0],
        "length": place[1],
        "score_a": paired.score_b,  # of the second, see `_scores`
        "score_b": paired.score_a,
        "p_holm": p_holm,
    }
    names = ("n_samples", "difference", "low", "high", "p_value", "won", "lost", "tied", "samples_needed")
    return values | {name: getattr(paired, name) for name in names}


def _by_task(frame: pd.DataFrame) -> Any:
    return frame.groupby(["task", "length"], dropna=False, sort=True)


def _place(task: Any, length: Any) -> tuple[str, int | None]:
    return str(task), None if pd.isna(length) else int(length)
