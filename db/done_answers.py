"""Which samples some cells have done answers to: what a run that goes on leaves out.

The index over (cell, sample) holds what was answered, but not whether it failed. It is read alone: the answers of a
cell are spread over the whole table, since a run answers sample by sample, and seeking each of a million takes seconds.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, Text, cast, func, select

from .portions import portions, read_rows
from .schema import Answer, Cell, Sample
from .standing import FAILED

_PASS_SHARE = 20
"""Where one cell of so many is wanted, one pass over all answers costs less than seeking those of each cell."""


def done_ordinals(connection: Connection, cell_ids: Sequence[str]) -> dict[str, frozenset[int]]:
    """By cell the ordinals of the samples that it has a done answer to; cells without any are left out."""
    failed: dict[str, list[int]] = {}
    for cell, ordinal in _failed(connection, cell_ids):
        failed.setdefault(cell, []).append(ordinal)
    ordinals = func.aggregate_strings(cast(Sample.ordinal, Text), ",")
    query = select(Answer.cell_id, ordinals).join(Sample, Sample.id == Answer.sample_id).group_by(Answer.cell_id)
    without = cache(_without)  # cells that are answered together have the same samples, as one set here
    done = {
        cell: without(answered, tuple(failed.get(cell, ())))
        for some in portions(cell_ids)
        for cell, answered in connection.execute(query.where(Answer.cell_id.in_(some)))
    }
    return {cell: ordinals for cell, ordinals in done.items() if ordinals}


def _without(answered: str, failed: tuple[int, ...]) -> frozenset[int]:
    """The ordinals, as "0,1,2", without an answer that failed. One place may have two answers, of which one failed."""
    return frozenset(Counter(map(int, answered.split(","))) - Counter(failed))


def _failed(connection: Connection, cells: Sequence[str]) -> list[tuple[str, int]]:
    """(cell, ordinal) of the failed answers of some cells."""
    query = select(Answer.cell_id, Sample.ordinal).join(Sample, Sample.id == Answer.sample_id).where(FAILED)
    n_cells = connection.scalar(select(func.count()).select_from(Cell)) or 0
    if len(cells) > n_cells / _PASS_SHARE:
        wanted = set(cells)
        return [(cell, ordinal) for cell, ordinal in read_rows(connection, query) if cell in wanted]
    return [
        (cell, ordinal)
        for some in portions(cells)
        for cell, ordinal in connection.execute(query.where(Answer.cell_id.in_(some)))
    ]
