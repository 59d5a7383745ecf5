"""Summaries of complete cells: written with the last answer of a cell, and for cells that lack theirs.

A database is as whole without them: a cell that has none is aggregated anew by whoever reads it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, insert, select

from .database import Database
from .portions import portions, read_rows
from .schema import Answer, Cell, CellSummary, Configuration, Sample, SampleList
from .shared_rows import shared_row
from .standing import DONE
from .totals import MEANS, MEASURES, SECONDS, read_totals

_PACKED = np.dtype("<f8")


def write_missing_summaries(database: Database) -> None:
    """Summarise every complete cell that has no summary: of an older schema, or changed by another program."""
    summarised = select(CellSummary.cell_id).where(CellSummary.cell_id == Cell.id)
    lacking = select(Cell.id).where(Cell.score.is_not(None), ~summarised.exists())
    alike = (Cell.task, Cell.length, Configuration.seed, Configuration.model_revision)
    with database.reading() as connection:  # cells that were answered together have their answers side by side
        configuration = Configuration.id == Cell.configuration_id
        cells = connection.scalars(lacking.outerjoin(Configuration, configuration).order_by(*alike)).all()
    for some in portions(cells):
        with database.writing() as connection:
            write_summaries(connection, connection.scalars(lacking.where(Cell.id.in_(some))).all())


def write_summaries(connection: Connection, cells: Sequence[str]) -> None:
    """Summarise those of some cells that are complete and have no summary.

    A cell with a value that cannot be read is left out, so that its readers meet it.
    """
    complete = [row for row in read_totals(connection, cells) if _is_summable(row)]
    scores = _read_scores(connection, [row["cell_id"] for row in complete])
    names = [column.name for column in CellSummary.__table__.columns]
    rows = []
    for row in complete:
        samples, packed = scores.get(row["cell_id"], ([], b""))
        row |= {"sample_list_id": shared_row(connection, SampleList.samples, samples), "scores": packed}
        rows.append({name: row[name] for name in names})
    if rows:
        connection.execute(insert(CellSummary), rows)


def packed_size(n: int) -> int:
    """Bytes of so many packed scores."""
    return n * _PACKED.itemsize


def unpacked_scores(packed: bytes) -> npt.NDArray[np.float64]:
    """The scores [0, 1] of a summary, or of several one after another."""
    return np.frombuffer(packed, dtype=_PACKED).astype(np.float64)


def _is_summable(row: dict[str, Any]) -> bool:
    numbers = (row[name] for name in (*MEANS, *SECONDS, *MEASURES))
    return (
        row["n_covered"] == row["samples_asked"]
        and row["broken_events"] is None
        and all(number is None or isfinite(number) for number in numbers)
    )


def _read_scores(connection: Connection, cells: Sequence[str]) -> dict[str, tuple[list[str], bytes]]:
    """By cell its samples and their packed scores."""
    return {
        cell: ([sample for _, sample, _ in rows], np.array([score for *_, score in rows], dtype=_PACKED).tobytes())
        for cell, rows in _scored(connection, cells)
    }


def _scored(connection: Connection, cells: Sequence[str]) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    query = (
        select(Answer.cell_id, Answer.sample_id, Answer.score)
        .join(Sample, Sample.id == Answer.sample_id)
        .where(DONE, Answer.score.is_not(None), Answer.cell_id.in_(cells))
        .order_by(Answer.cell_id, Sample.ordinal, Answer.sample_id)
    )
    for cell, rows in groupby(read_rows(connection, query), key=lambda row: row[0]):
        yield str(cell), list(rows)
