"""Methods held against each other over all their budgets at once: the area under quality against budget."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .comparable import Row, comparable
from .database import Database
from .labels import budget_label, is_oracle, method_name
from .score_tables import read_score_table
from .statistics.curves import areas, relative_losses
from .statistics.ranking import ranked_frame
from .statistics.table import ScoreTable

BUDGET = ("ratio", "keep_tokens")
"""The parts of a configuration that are its budget."""

AREA_COLUMNS = (
    *("method", "budgets", "rank", "best_place", "worst_place", "area", "interval_low", "interval_high"),
    *("loss_percent", "loss_low", "loss_high", "n_tasks", "n_samples", "n_documents", "configuration"),
)
"""The columns of a method. `budgets` is a list of labels, `configuration` the one with the largest budget."""


@dataclass(frozen=True)
class Areas:
    """What may be ranked together.

    Attributes:
        title: What the methods share.
        frame: Of `area_frame`.
        single: Methods without a curve, since there are not two budgets.
        n_incomplete: Configurations that are left out since they lack a sample.
    """

    title: str
    frame: pd.DataFrame
    single: Sequence[str]
    n_incomplete: int


def read_areas(db: Database, rows: Sequence[Row]) -> list[Areas]:
    """The areas of every group of rows that may stand together, without oracles.

    Args:
        db: The results.
        rows: Of `read_results`.
    """
    found = []
    for title, group in comparable([row for row in rows if not is_oracle(row)]):
        table, incomplete = read_score_table(db, group, _configuration, lambda row: str(row["task"]))
        labels = {_configuration(row): {"method": method_name(row), "budget": budget_label(row)} for row in group}
        about = {_configuration(row): {**row, **labels[_configuration(row)]} for row in group}
        frame, single = area_frame(table, about)
        found.append(Areas(title, frame, single, len(incomplete)))
    return found


def area_frame(table: ScoreTable, about: Mapping[str, Mapping[str, Any]]) -> tuple[pd.DataFrame, list[str]]:
    """(frame, single): a row per method with AREA_COLUMNS, and the methods without two budgets, each once.

    A method is a configuration without its budget. `area` is its mean score, 0 to 100, over the budgets between the
    smallest and the largest, by the trapezoidal rule over the share of the cache kept, or over the tokens that a head
    keeps. The interval and the ranks are those of a score, over the same samples; `loss_percent` is what is lost of
    the full cache's score, with its interval, missing unless exactly one full cache is there and scores. Only methods
    with the same budgets are ranked together; those with most budgets come first.

    Args:
        table: Scores of all configurations.
        about: By configuration its allocator, method, budget (labels), ratio, keep_tokens and spec. Configurations of
            the table that it lacks are left out.
    """
    curves: dict[str, list[tuple[float, int]]] = {}
    for number, name in enumerate(table.configurations):
        if name in about and about[name]["allocator"] != "full" and (kept := _kept(about[name])) is not None:
            curves.setdefault(_curve(about[name]), []).append((kept, number))
    groups: dict[tuple[Any, ...], dict[str, list[tuple[float, int]]]] = {}
    single = []
    for name, points in curves.items():
        first = about[table.configurations[points[0][1]]]
        budgets = tuple(sorted(kept for kept, _ in points))
        if len(set(budgets)) < max(2, len(budgets)):
            single.append(str(first["method"]))
        else:
            unit = "tokens" if _number(first["keep_tokens"]) is not None else "share"
            groups.setdefault((-len(budgets), unit, budgets), {})[name] = points
    full = [n for n, name in enumerate(table.configurations) if name in about and about[name]["allocator"] == "full"]
    frames = [_group_frame(table, groups[key], full, about) for key in sorted(groups)]
    empty = pd.DataFrame(columns=list(AREA_COLUMNS))
    return (pd.concat(frames, ignore_index=True) if frames else empty), single


def _group_frame(
    table: ScoreTable,
    curves: Mapping[str, Sequence[tuple[float, int]]],
    full: Sequence[int],
    about: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """The methods that share their budgets."""
    under = areas(table, curves)
    ranked = ranked_frame(under).rename(columns={"score": "area"})
    losses = dict.fromkeys(("loss_percent", "loss_low", "loss_high"), np.full(len(curves), np.nan))
    if len(full) == 1:
        both = ScoreTable([*curves, "full"], np.vstack([under.scores, table.scores[full]]), under.task, under.document)
        losses = dict(zip(losses, (values[:-1] for values in relative_losses(both, len(curves))), strict=True))
    ranked = ranked.join(pd.DataFrame(losses, index=list(curves)), on="configuration")
    names = [[table.configurations[number] for _, number in sorted(curves[curve])] for curve in ranked["configuration"]]
    ranked["method"] = [str(about[of_curve[0]]["method"]) for of_curve in names]
    ranked["budgets"] = [[str(about[name]["budget"]) for name in reversed(of_curve)] for of_curve in names]
    ranked["configuration"] = [of_curve[-1] for of_curve in names]
    return ranked[list(AREA_COLUMNS)]


def _kept(row: Mapping[str, Any]) -> float | None:
    """What a budget keeps: tokens of a head, or the share of the cache."""
    tokens, ratio = (_number(row[name]) for name in ("keep_tokens", "ratio"))
    if tokens is not None:
        return tokens
    return None if ratio is None else round(1 - ratio, 12)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _curve(row: Mapping[str, Any]) -> str:
    """What a configuration is but for its budget; one of ratios and one of tokens are two."""
    unit = "ratio" if _number(row["keep_tokens"]) is None else "keep_tokens"
    spec = row["spec"] if isinstance(row["spec"], dict) else {}
    others = {name: value for name, value in spec.items() if name not in BUDGET}
    return json.dumps([row["method"], unit, others], sort_keys=True, default=str)


def _configuration(row: Row) -> str:
    return str(row["configuration"])
