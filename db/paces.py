"""What the newest answers of a model took on one machine, sample by sample."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, select

from .database import Database
from .schema import Answer, Cell, Configuration, Environment, Run, Sample, Timing

NEWEST = 5_000
"""Answers that are looked at."""


@dataclass(frozen=True)
class SampleSeconds:
    """A sample that a run answered.

    Attributes:
        seconds: From the sample before to its last answer.
        prefill_s: Of them, those of its prefill.
        n_generated: Tokens of all its answers.
    """

    task: str
    length: int | None
    n_context: int
    n_question: int
    n_cells: int
    seconds: float
    prefill_s: float
    n_generated: int


def recent_samples(db: Database, model_revision: str, dtype: str, device: str, machine: str) -> list[SampleSeconds]:
    """The samples among the newest answers that a model gave on a machine and device, oldest first.

    The first one of each run is left out, since nothing says when it began.
    """
    newest = select(Answer.id).order_by(Answer.id.desc()).limit(NEWEST).subquery()
    columns = (Answer.run_id, Answer.sample_id, Answer.created_at, Answer.n_context_tokens, Answer.n_question_tokens)
    query = (
        select(*columns, Answer.n_generated_tokens, Timing.prefill_s, Sample.task, Sample.length)
        .join(newest, newest.c.id == Answer.id)
        .join(Timing, Timing.answer_id == Answer.id)
        .join(Sample, Sample.id == Answer.sample_id)
        .join(Cell, Cell.id == Answer.cell_id)
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .join(Run, Run.id == Answer.run_id)
        .join(Environment, Environment.id == Run.environment_id)
        .where(Configuration.model_revision == model_revision, Configuration.dtype == dtype)
        .where(Environment.device == device, Environment.machine == machine)
        .order_by(Answer.created_at, Answer.id)
    )
    runs: defaultdict[str, dict[str, list[RowMapping]]] = defaultdict(dict)
    with db.reading() as connection:
        for row in connection.execute(query).mappings():
            runs[row["run_id"]].setdefault(row["sample_id"], []).append(row)
    return [one for samples in runs.values() for one in _of_run(list(samples.values()))]


def _of_run(samples: Sequence[Sequence[RowMapping]]) -> list[SampleSeconds]:
    """The samples of one run, but for its first."""
    return [
        _sample(rows, (rows[-1]["created_at"] - before[-1]["created_at"]).total_seconds())
        for before, rows in itertools.pairwise(samples)
        if rows[0]["prefill_s"] is not None
        and rows[0]["n_context_tokens"]
        and rows[-1]["created_at"] > rows[0]["created_at"]
    ]


def _sample(rows: Sequence[RowMapping], seconds: float) -> SampleSeconds:
    first: Any = rows[0]
    return SampleSeconds(
        task=first["task"],
        length=first["length"],
        n_context=first["n_context_tokens"],
        n_question=first["n_question_tokens"] or 0,
        n_cells=len(rows),
        seconds=seconds,
        prefill_s=min(first["prefill_s"], seconds),
        n_generated=sum(row["n_generated_tokens"] or 0 for row in rows),
    )
