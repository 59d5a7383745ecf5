"""Two configurations held against each other over the samples that both answered, task by task and over all tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import UserError
from .comparable import place_label
from .database import Database
from .documents import read_documents
from .measures import SCORE, Measure, read_values
from .results import Row, read_results
from .rivals import Against, check_unambiguous, find_rivals, parse_against
from .sample_scores import Scores
from .statistics.families import holm
from .statistics.paired import Paired, TaskScores, compare_tasks


@dataclass(frozen=True)
class TaskPair:
    """Two cells on the same task and length, and what their shared samples say."""

    a: Row
    b: Row
    paired: Paired
    p_holm: float


@dataclass(frozen=True)
class ConfigurationPair:
    """Two configurations.

    Attributes:
        tasks: One a (task, length), in order.
        incomplete: Titles of the tasks that one of the two has begun and not answered in full: they are left out.
        measure: What was compared.
        whole: Over all of these tasks; they weigh the same.
        p_holm: Its p-value, corrected for all pairs of configurations that were asked for together. A task's is
            corrected for all tasks of these pairs.
    """

    tasks: Sequence[TaskPair]
    whole: Paired
    p_holm: float
    incomplete: Sequence[str] = ()
    measure: Measure = SCORE


def read_pairs(
    db: Database, a: str, b: str, tasks: set[str] | None = None, seed: int = 0, measure: Measure = SCORE
) -> list[ConfigurationPair]:
    """Every configuration that `a` names with the one that `b` names, which differs in nothing but what was named.

    Args:
        db: The results.
        a: As `rivals.parse_against` takes it.
        b: The same.
        tasks: Only on these; None = on all.
        seed: Of what the statistics draw.
        measure: What is compared.

    Raises:
        UserError: one of them names nothing or too much, both name the same, or no two of their cells can be paired.
    """
    rows = read_results(db)
    first, second = parse_against(a, rows), parse_against(b, rows)
    rows = [row for row in rows if tasks is None or row["task"] in tasks]
    of = _paired_cells(rows, first, second)
    by_id = {str(row["cell"]): row for row in rows}
    groups: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
    for one, other in of.items():
        pair = by_id[one], by_id[other]
        groups.setdefault((pair[0]["configuration"], pair[1]["configuration"]), []).append(pair)
    scores = read_values(db, [*of, *of.values()], measure)
    documents = read_documents(db, scores.samples)
    unmeasured = {pair: _unmeasured(groups[pair], scores, measure) for pair in groups}
    groups = {pair: [tasks for tasks in groups[pair] if tasks not in unmeasured[pair].values()] for pair in groups}
    _check_measured(groups, unmeasured)
    compared = [_compared(pairs, scores, documents, seed, measure) for pairs in groups.values() if pairs]
    lacking = [[*_incomplete(rows, *pair), *unmeasured[pair]] for pair in groups if groups[pair]]
    return [replace(pair, incomplete=titles) for pair, titles in zip(_corrected(compared), lacking, strict=True)]


def _unmeasured(pairs: Sequence[tuple[Row, Row]], scores: Scores, measure: Measure) -> dict[str, tuple[Row, Row]]:
    """The tasks on which some answers of one of two configurations were not measured, by how many were."""
    n = np.bincount(scores.cell, minlength=len(scores.cells))
    found = {}
    for pair in pairs if measure is not SCORE else ():
        for side, row in zip("AB", pair, strict=True):
            n_measured = int(n[scores.cells[str(row["cell"])]])
            if n_measured < row["n"]:
                found[f"{place_label(row)}: {measure.name} of {n_measured} of {row['n']} samples of {side}"] = pair
    return found


def _check_measured(groups: Mapping[Any, Sequence[Any]], unmeasured: Mapping[Any, Mapping[str, Any]]) -> None:
    """Refuse to compare what was measured on no task in full.

    Raises:
        UserError: with the first reason.
    """
    if any(groups.values()):
        return
    reason = next(reason for of_pair in unmeasured.values() for reason in of_pair)
    raise UserError(
        f"{reason}: no task has it on every answer; a run measures it where several configurations share a prefill, or "
        "with --fidelity, and answers again with --redo."
    )


def _incomplete(rows: Sequence[Row], a: str, b: str) -> list[str]:
    """The tasks on which one of two configurations is incomplete, with how far it is."""
    sides = {a: "A", b: "B"}
    return [
        f"{place_label(row)}: {row['n']} of {row['samples_asked']} samples of {sides[row['configuration']]}"
        for row in rows
        if row["configuration"] in sides and row["status"] != "complete"
    ]


def _paired_cells(rows: Sequence[Row], a: Against, b: Against) -> dict[str, str]:
    """Cell that `a` names -> cell that `b` names."""
    named = None if a.named is None or b.named is None else a.named | b.named
    chosen = [row for row in rows if a.is_one(row) or b.is_one(row)]
    both = [row for row in chosen if a.is_one(row) and b.is_one(row)]
    if both:
        raise UserError(f'"{a.text}" and "{b.text}" both name cell {both[0]["cell"][:8]}; compare two different ones.')
    rule = Against(b.text, b.is_one, named)
    rivals = find_rivals(chosen, rule)
    check_unambiguous(rivals, rule)
    if not rivals.of:
        n_a, n_b = (sum(each.is_one(row) and row["status"] == "complete" for row in rows) for each in (a, b))
        raise UserError(
            f'"{a.text}" names {n_a} complete rows and "{b.text}" {n_b}, but no two of them share model, task, length '
            "and all that was not named; name two by id, as `results --json` shows it."
        )
    return dict(rivals.of)


def _compared(
    pairs: Sequence[tuple[Row, Row]], scores: Scores, documents: Mapping[str, str], seed: int, measure: Measure
) -> ConfigurationPair:
    shared = [_shared(scores, str(a["cell"]), str(b["cell"]), documents) for a, b in pairs]
    compared = [measure.shown(compare_tasks([each], seed)) for each in shared]
    tasks = [TaskPair(a, b, paired, paired.p_value) for (a, b), paired in zip(pairs, compared, strict=True)]
    whole = compared[0] if len(compared) == 1 else measure.shown(compare_tasks(shared, seed))
    return ConfigurationPair(tasks, whole, whole.p_value, measure=measure)


def _shared(scores: Scores, a: str, b: str, documents: Mapping[str, str]) -> TaskScores:
    """The scores of the samples that both cells answered."""
    of_a, of_b = (scores.cell == scores.cells[cell] for cell in (a, b))
    shared, in_a, in_b = np.intersect1d(scores.sample[of_a], scores.sample[of_b], return_indices=True)
    if not len(shared):
        raise UserError(f"cells {a[:8]} and {b[:8]} share no scored sample; another data revision answers both.")
    names = [documents.get(scores.samples[place], scores.samples[place]) for place in shared]
    return TaskScores(scores.score[of_a][in_a], scores.score[of_b][in_b], np.array(names))


def _corrected(pairs: Sequence[ConfigurationPair]) -> list[ConfigurationPair]:
    """With p-values corrected for those that were asked for together."""
    wholes = holm(np.array([pair.whole.p_value for pair in pairs]))[1].tolist()
    tasks = iter(holm(np.array([task.paired.p_value for pair in pairs for task in pair.tasks]))[1].tolist())
    return [
        replace(pair, tasks=[replace(task, p_holm=next(tasks)) for task in pair.tasks], p_holm=p)
        for pair, p in zip(pairs, wholes, strict=True)
    ]
