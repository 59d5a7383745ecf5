"""Configurations ranked over all tasks at hand: the view above single cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from .. import UserError
from .comparable import SETTING, Setting
from .database import Database
from .facets import natural, read_facets
from .labels import budget_label, is_oracle, method_name
from .results import Row
from .rivals import Rivals
from .sample_scores import read_scores
from .schema import Task
from .score_tables import read_score_table
from .statistics.frontier import frontier_band, pareto
from .statistics.intervals import difference_intervals
from .statistics.ranking import ranked_frame
from .statistics.table import ScoreTable

GROUPS = ("task", "family", "model")
"""What `by` may always be; else it is a facet of the samples."""

MOST_NAMED, MOST_VALUES = 12, 50
"""Facets that a message names, and values of one that a table shows."""

Name = Callable[[Mapping[str, Any]], str]
Parts = Callable[[Row], Mapping[str, float]]
"""A cell's score on each part that it belongs to."""

BOARD_COLUMNS = (
    *(
        "model",
        "protocol",
        "configuration",
        "method",
        "budget",
        "rank",
        "best_place",
        "worst_place",
        "score",
        "interval",
    ),
    *(
        "gain",
        "against",
        "kv_bytes_kept",
        "kv_bytes_full",
        "is_on_frontier",
        "frontier",
        "n_tasks",
        "n_samples",
        "n_documents",
    ),
    "parts",
)
"""The columns of a ranked configuration, in order. `parts` has its score on each part of what `by` names; `frontier`,
where it is on the frontier, the interval of the best score for its bytes, see `statistics.frontier.frontier_band`."""


@dataclass(frozen=True)
class Board:
    """What may be ranked together.

    Attributes:
        title: What the configurations share.
        parts: Names of the tasks, families, models or a facet's values, in order; empty where none were asked for.
        rows: Of complete configurations with BOARD_COLUMNS, the best first.
        incomplete: Method, budget and `missing` (a list of texts) of each configuration that is not ranked.
    """

    title: str
    parts: Sequence[str]
    rows: Sequence[dict[str, Any]]
    incomplete: Sequence[dict[str, Any]]


def read_boards(db: Database, rows: Sequence[Row], rivals: Rivals, by: str | None = None) -> list[Board]:
    """A board for every group of rows that may be ranked together; with `by` model, one over all of their models.

    There each task on each model is a task, and methods with the same arguments and budget are one. Oracles are left
    out.

    Args:
        db: The results.
        rows: Of `read_results`.
        rivals: What each cell is held against.
        by: Of what parts the scores are shown beside the mean: GROUPS, or a facet of the samples, such as "kind". The
            score on a value is the mean over the tasks that have it of the mean over their samples with it.

    Raises:
        UserError: no sample has the facet.
    """
    shared = [name for name in SETTING if by != "model" or name not in ("model", "model_revision")]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if not is_oracle(row):
            groups.setdefault(tuple(row[name] for name in shared), []).append(row)
    parts = _parts(db, [row for group in groups.values() for row in group], by)
    return [_board(db, group, rivals, parts, by) for group in groups.values()]


def _board(db: Database, rows: Sequence[Row], rivals: Rivals, parts_of: Parts | None, by: str | None) -> Board:
    key: Name = _across_models if by == "model" else lambda row: str(row["configuration"])
    task: Name = _task_of_model if by == "model" else lambda row: str(row["task"])
    table, incomplete = read_score_table(db, rows, key, task)
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(key(row), []).append(row)
    gains = _gains(table, of, rivals, key)
    frontier = _frontier(table, of)
    ranked = []
    for ranks in ranked_frame(table).to_dict("records"):
        name = ranks["configuration"]
        on_frontier = {"is_on_frontier": name in frontier, "frontier": frontier.get(name)}
        ranked.append(_row(ranks, of[name], gains, parts_of) | on_frontier)
    parts = sorted({name for row in ranked for name in row["parts"]}, key=natural)
    left_out = [
        {"method": method_name(of[name][0]), "budget": budget_label(of[name][0]), "missing": missing}
        for name, missing in zip(incomplete["configuration"], incomplete["missing"], strict=True)
    ]
    return Board(_title(rows, by), parts, [{name: row[name] for name in BOARD_COLUMNS} for row in ranked], left_out)


def _row(
    ranks: dict[Any, Any],
    rows: Sequence[Row],
    gains: dict[str, tuple[list[float], str]],
    parts_of: Parts | None,
) -> dict[str, Any]:
    name = ranks["configuration"]
    gain, against = gains.get(name, (None, None))
    scores: dict[str, list[float]] = {}
    if parts_of is not None:
        for part, score in (each for row in rows for each in parts_of(row).items()):
            scores.setdefault(part, []).append(score)
    return {
        **{column: rows[0][column] for column in ("model", "protocol", "configuration")},
        **{column: int(ranks[column]) for column in ("rank", "best_place", "worst_place")},
        **{column: int(ranks[column]) for column in ("n_tasks", "n_samples", "n_documents")},
        **{column: _mean(rows, column) for column in ("kv_bytes_kept", "kv_bytes_full")},
        "method": method_name(rows[0]),
        "budget": budget_label(rows[0]),
        "score": float(ranks["score"]),
        "interval": [float(ranks["interval_low"]), float(ranks["interval_high"])],
        "gain": gain,
        "against": against,
        "parts": {part_name: float(np.mean(values)) for part_name, values in scores.items()},
    }


def _gains(
    table: ScoreTable, of: dict[str, list[Row]], rivals: Rivals, key: Callable[[Row], str]
) -> dict[str, tuple[list[float], str]]:
    """Configuration -> ([mean, low, high] of its difference to another over all tasks, that other's name)."""
    number = {name: row for row, name in enumerate(table.configurations)}
    name_of = {str(row["cell"]): name for name, rows in of.items() for row in rows}
    pairs: dict[str, str] = {}
    for name in table.configurations:
        others = {name_of.get(rivals.of.get(str(row["cell"]), "")) for row in of[name]}
        (other,) = others if len(others) == 1 else (None,)
        if other in number:
            pairs[name] = other
    if not pairs:
        return {}
    ours, theirs = ([number[name] for name in names] for names in (pairs, pairs.values()))
    differences = table.scores[ours] - table.scores[theirs]
    low, high = difference_intervals(differences, table.task, table.document)
    means = table.means()[ours] - table.means()[theirs]
    values = np.stack([means, low, high], axis=1).tolist()
    return {name: (gain, pairs[name]) for name, gain in zip(pairs, values, strict=True)}


def _frontier(table: ScoreTable, of: dict[str, list[Row]]) -> dict[str, list[float]]:
    """Configuration on the frontier -> [low, high] of the best score for what it keeps."""
    means = (_mean(of[name], "kv_bytes_kept") for name in table.configurations)
    costs = np.array([float("nan") if mean is None else mean for mean in means])
    on: list[int] = np.flatnonzero(pareto(costs, table.means())).tolist()
    low, high = frontier_band(table, costs, costs[on])
    return {table.configurations[number]: [a, b] for number, a, b in zip(on, low.tolist(), high.tolist(), strict=True)}


def _parts(db: Database, rows: Sequence[Row], by: str | None) -> Parts | None:
    if by is None or not rows:
        return None
    if by == "model":
        return lambda row: {str(row["model"]): row["score"]}
    if by == "task":
        return lambda row: {row["task"] if row["length"] is None else f"{row['task']} {row['length']}": row["score"]}
    if by != "family":
        return _facet_parts(db, rows, by)
    with db.reading() as connection:
        families = {row.name: row.family for row in connection.execute(select(Task.name, Task.family))}
    return lambda row: {str(families.get(row["task"], "other")): row["score"]}


def _facet_parts(db: Database, rows: Sequence[Row], by: str) -> Parts:
    """Each cell's mean score over its samples with each value of a facet.

    Raises:
        UserError: no sample has it, or it has more values than a table has room for.
    """
    scores = read_scores(db, [str(row["cell"]) for row in rows if row["status"] != "unreadable"])
    facets = read_facets(db, scores.samples)
    if by not in facets:
        *others, last = (*GROUPS, *sorted(facets)[:MOST_NAMED])
        raise UserError(f'--by is {", ".join(others)} or {last} for these tasks, not "{by}".')
    if (n_values := len(set(facets[by].values()))) > MOST_VALUES:
        raise UserError(f"--by {by} would take {n_values} columns, and {MOST_VALUES} at most fit; choose --task.")
    cells, values = list(scores.cells), [facets[by].get(sample) for sample in scores.samples]
    of: dict[str, dict[str, list[float]]] = {}
    for cell, sample, score in zip(scores.cell.tolist(), scores.sample.tolist(), scores.score.tolist(), strict=True):
        value = values[sample]
        if value is not None:
            of.setdefault(cells[cell], {}).setdefault(value, []).append(score)
    return lambda row: {value: float(np.mean(each)) for value, each in of.get(str(row["cell"]), {}).items()}


def _title(rows: Sequence[Row], by: str | None) -> str:
    title = Setting.of(rows[0]).title
    if by != "model":
        return title
    models = dict.fromkeys(str(row["model"]) for row in rows)
    return f"{len(models)} models, {title.split(', ', 1)[1]}"


def _task_of_model(row: Mapping[str, Any]) -> str:
    return f"{row['model']}: {row['task']}"


def _across_models(row: Mapping[str, Any]) -> str:
    """What a configuration is but for its model."""
    return f"{method_name(row)}, {budget_label(row)}, sink {row['sink']}, window {row['window']}"


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows]
    return None if None in values else float(np.mean(values))
