"""Which configurations fit a memory and keep a share of the full cache's score, as far as the record shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from .cache_sizes import CacheSizes, tokens_per_head
from .comparable import Row, Setting
from .database import Database
from .labels import budget_label, is_oracle, method_name
from .need import Need
from .recommended_run import run_command
from .rivals import find_rivals, parse_against
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
class Group:
    """Configurations that are held against one full cache, and so may be ranked together.

    Attributes:
        full: A row of the full cache.
        sources: By configuration a row of `read_results`.
        table: The scores of those that are complete.
        n_incomplete: Configurations that lack samples, and are not judged.
        tasks: Of the evidence, in order.
        lengths: Of the evidence, in order; empty where tasks have none.
    """

    full: Row
    sources: Mapping[str, Row]
    table: ScoreTable
    n_incomplete: int
    tasks: list[str]
    lengths: list[int]

    @property
    def title(self) -> str:
        """What they share."""
        return Setting.of(self.full).title


@dataclass(frozen=True)
class Candidates:
    """What a group says of a need.

    Attributes:
        title: What they share.
        rows: With RECOMMENDED_COLUMNS, the best first; only those that fit.
        n_too_large: Complete configurations that do not fit.
        n_incomplete: Configurations that lack samples, and are not judged.
        is_scored: Whether the full cache scores more than 0 and has answered all samples; else nothing is judged.
        full_bytes: Of the full cache at the length asked for.
        most_per_head: Tokens of each head that fit, less than 1 where nothing does.
    """

    title: str
    rows: Sequence[dict[str, Any]]
    n_too_large: int
    n_incomplete: int
    is_scored: bool
    full_bytes: int
    most_per_head: int


def read_groups(db: Database, rows: Sequence[dict[str, Any]]) -> list[Group]:
    """A group for each full cache that some of the rows are held against; none without complete ones of both. Oracles
    are in none.

    Args:
        db: The results.
        rows: Of `read_results`, of one model.
    """
    rows = [row for row in rows if not is_oracle(row)]
    if not any(row["allocator"] == "full" for row in rows):
        return []
    rivals = find_rivals(rows, parse_against("full", rows))
    by_cell = {str(row["cell"]): row for row in rows}
    full_of = {str(row["configuration"]): by_cell[rivals.of[row["cell"]]] for row in rows if row["cell"] in rivals.of}
    members: dict[str, list[Row]] = {}
    for row in rows:
        full = full_of.get(str(row["configuration"]))
        if full is not None:
            members.setdefault(str(full["configuration"]), []).append(row)
    found: list[Group] = []
    for name, some in members.items():
        places = {_place(row) for row in some}
        with_full = [row for row in rows if row["configuration"] == name and _place(row) in places] + some
        found.append(_read_group(db, with_full, name))
    return sorted(found, key=lambda each: each.title)


def _place(row: Row) -> tuple[Any, ...]:
    return row["task"], row["length"], row["task_version"], row["data_revision"]


def _read_group(db: Database, rows: Sequence[Row], full: str) -> Group:
    table, incomplete = read_score_table(db, rows, lambda row: str(row["configuration"]), lambda row: str(row["task"]))
    sources = {str(row["configuration"]): row for row in rows}
    return Group(
        full=sources[full],
        sources=sources,
        table=table,
        n_incomplete=len(incomplete),
        tasks=sorted({str(row["task"]) for row in rows}),
        lengths=sorted({int(row["length"]) for row in rows if row["length"] is not None}),
    )


def candidates(group: Group, sizes: CacheSizes, need: Need) -> Candidates:
    """What fits a need and how much of the score it keeps, the best first.

    Args:
        group: Whose configurations are judged.
        sizes: Of the model's cache.
        need: What they are wanted for.
    """
    full = str(group.full["configuration"])
    kv_bytes = {name: _kept_bytes(sizes, row, need.n_tokens) for name, row in group.sources.items()}
    others = [name for name in group.table.configurations if name != full]
    fitting = [name for name in others if kv_bytes[name] <= need.memory_bytes]
    number = {name: place for place, name in enumerate(group.table.configurations)}
    is_scored = full in number and bool(group.table.means()[number[full]] > 0)
    judged = _judged(group.table, number, full, fitting, need.share) if is_scored and fitting else []
    rows = [_row(group, need, each, kv_bytes[each["configuration"]]) for each in judged]
    order = {SURE: 0, SO_FAR: 1, NOT_MET: 2}
    rows.sort(key=lambda row: (order[row["standing"]], -round(row["quality"], 9), row["kv_bytes"], row["method"]))
    return Candidates(
        title=group.title,
        rows=rows,
        n_too_large=len(others) - len(fitting),
        n_incomplete=group.n_incomplete,
        is_scored=is_scored,
        full_bytes=sizes.full_bytes(need.n_tokens),
        most_per_head=sizes.most_per_head(need.n_tokens, need.memory_bytes),
    )


def _kept_bytes(sizes: CacheSizes, row: Row, n_tokens: int) -> int:
    keep, ratio = row["keep_tokens"], row["ratio"]
    exact = None if keep is not None or ratio is None else Decimal(str(ratio))
    return sizes.kept_bytes(n_tokens, tokens_per_head(n_tokens, exact, keep))


def _row(group: Group, need: Need, judged: dict[str, Any], kv_bytes: int) -> dict[str, Any]:
    source = group.sources[judged["configuration"]]
    row = {
        **{name: source[name] for name in ("model", "protocol", "dtype", "seed")},
        **judged,
        "method": method_name(source),
        "budget": budget_label(source),
        "kv_bytes": kv_bytes,
        "tasks": group.tasks,
        "lengths": group.lengths,
    }
    return row | {"command": run_command(need, row, source)}


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
