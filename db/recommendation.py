"""Which configurations fit a memory and keep a share of the full cache's score, as far as the record shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .comparable import Row, Setting
from .database import Database
from .labels import budget_label, method_name
from .rivals import Rivals
from .score_tables import read_score_table
from .statistics.relative import qualities
from .statistics.table import ScoreTable

LEVEL = 0.95
SURE, SO_FAR, NOT_MET = "met", "met so far", "not met"
"""Above the target by the corrected test; above it by these samples; not above it."""

RECOMMENDED_COLUMNS = (
    *("model", "protocol", "dtype", "seed", "configuration", "method", "budget", "kv_bytes", "quality", "low", "high"),
    *("standing", "p_value", "p_holm", "score", "score_full", "n_tasks", "n_samples", "n_documents", "samples_needed"),
    *("tasks", "lengths", "command"),
)
"""The columns of a candidate. `kv_bytes` are kept at the length asked for; `quality` is percent of the full cache's
score with its 95% interval `low`, `high`; `tasks` and `lengths` are those of the evidence; `command` is a run that
would tell whether the target is met."""


@dataclass(frozen=True)
class Candidates:
    """What may be ranked together: configurations held against one full cache.

    Attributes:
        title: What they share.
        full: A row of the full cache.
        rows: With RECOMMENDED_COLUMNS but for `command`, the best first; only those that fit.
        sources: By configuration a row of `read_results`.
        n_too_large: Complete configurations that do not fit.
        n_incomplete: Configurations that lack samples, and are not judged.
        is_scored: Whether the full cache scores more than 0 and has answered all samples; else nothing is judged.
    """

    title: str
    full: Row
    rows: Sequence[dict[str, Any]]
    sources: dict[str, Row]
    n_too_large: int
    n_incomplete: int
    is_scored: bool


def read_candidates(
    db: Database, rows: Sequence[Row], rivals: Rivals, kv_bytes: Callable[[Row], int], memory_bytes: int, share: float
) -> list[Candidates]:
    """Candidates for each full cache that some of the rows are held against.

    Args:
        db: The results.
        rows: Of `read_results`, of one model.
        rivals: Each cell's full cache, of `rivals.find_rivals`.
        kv_bytes: What a row's configuration keeps of a context.
        memory_bytes: What it may keep.
        share: Of the full cache's score that it has to keep, 0 < share <= 1.
    """
    by_cell = {str(row["cell"]): row for row in rows}
    full_of = {str(row["configuration"]): by_cell[rivals.of[row["cell"]]] for row in rows if row["cell"] in rivals.of}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        full = full_of.get(str(row["configuration"]))
        if full is not None:
            groups.setdefault(str(full["configuration"]), []).append(row)
    found: list[Candidates] = []
    for name, of_group in groups.items():
        places = {_place(row) for row in of_group}
        with_full = [row for row in rows if row["configuration"] == name and _place(row) in places] + of_group
        found.append(_candidates(db, with_full, name, kv_bytes, memory_bytes, share))
    return sorted(found, key=lambda each: each.title)


def _place(row: Row) -> tuple[Any, ...]:
    return row["task"], row["length"], row["task_version"], row["data_revision"]


def _candidates(
    db: Database, rows: Sequence[Row], full: str, kv_bytes: Callable[[Row], int], memory_bytes: int, share: float
) -> Candidates:
    table, incomplete = read_score_table(db, rows, lambda row: str(row["configuration"]), lambda row: str(row["task"]))
    sources = {str(row["configuration"]): row for row in rows}
    others = [name for name in table.configurations if name != full]
    fitting = [name for name in others if kv_bytes(sources[name]) <= memory_bytes]
    number = {name: place for place, name in enumerate(table.configurations)}
    is_scored = full in number and bool(table.means()[number[full]] > 0)
    judged = _judged(table, number, full, fitting, share) if is_scored and fitting else []
    evidence = _evidence(rows)
    ranked = [
        {
            **{name: sources[each["configuration"]][name] for name in ("model", "protocol", "dtype", "seed")},
            **each,
            "method": method_name(sources[each["configuration"]]),
            "budget": budget_label(sources[each["configuration"]]),
            "kv_bytes": kv_bytes(sources[each["configuration"]]),
            **evidence,
        }
        for each in judged
    ]
    order = {SURE: 0, SO_FAR: 1, NOT_MET: 2}
    ranked.sort(key=lambda row: (order[row["standing"]], -round(row["quality"], 9), row["kv_bytes"], row["method"]))
    return Candidates(
        Setting.of(sources[full]).title,
        sources[full],
        ranked,
        sources,
        len(others) - len(fitting),
        len(incomplete),
        is_scored,
    )


def _judged(
    table: ScoreTable, number: dict[str, int], full: str, names: Sequence[str], share: float
) -> list[dict[str, Any]]:
    chosen = np.array([number[name] for name in names], dtype=np.int64)
    found = qualities(table, number[full], chosen, share, LEVEL)
    means = table.means()
    return [
        {
            "configuration": name,
            "standing": _standing(float(found.quality[place]), float(found.p_holm[place]), share),
            **{
                column: float(getattr(found, column)[place])
                for column in ("quality", "low", "high", "p_value", "p_holm")
            },
            "samples_needed": found.needed[place],
            "score": float(means[number[name]]),
            "score_full": float(means[number[full]]),
            "n_tasks": len(np.unique(table.task)),
            "n_samples": len(table.task),
            "n_documents": len(table.first_of_document),
        }
        for place, name in enumerate(names)
    ]


def _standing(quality: float, p_holm: float, share: float) -> str:
    if quality < 100 * share - 1e-9:
        return NOT_MET
    return SURE if p_holm <= 1 - LEVEL + 1e-12 else SO_FAR


def _evidence(rows: Sequence[Row]) -> dict[str, Any]:
    lengths = {int(row["length"]) for row in rows if row["length"] is not None}
    return {"tasks": sorted({str(row["task"]) for row in rows}), "lengths": sorted(lengths)}
