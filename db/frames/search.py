"""The samples of a task, to be looked through and searched."""

from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import Select, Text, case, cast, func, or_, select

from ..comparable import Setting
from ..database import Database
from ..readable import parsed
from ..schema import Answer, Cell, Configuration, Sample
from ..standing import DONE
from .conditions import has_setting

SEARCH_COLUMNS = ("sample", "length", "ordinal", "n_answers", "score", "references", "facets")


class Found(NamedTuple):
    """One page of what a search matched: `samples` with SEARCH_COLUMNS, of `n_samples` in all."""

    samples: pd.DataFrame
    n_samples: int


def search_samples(
    db: Database,
    setting: Setting,
    task: str,
    text: str = "",
    limit: int = 50,
    offset: int = 0,
    length: int | None = None,
) -> Found:
    """The samples of a task that cells of a setting answered, by length and ordinal.

    `score` is the mean [0, 100] over the done answers of all cells of the setting, `n_answers` their number.

    Args:
        db: The results.
        setting: Whose cells answered.
        task: The name of the task.
        text: Only samples with it in a reference or in an answer of a cell of the setting, in any case; "" = all.
        limit: Rows of the page.
        offset: Rows before it.
        length: Only those of this length; None = of any.
    """
    query = _samples(setting, task)
    if length is not None:
        query = query.where(Cell.length == length)
    if text:
        word = f"%{_escaped(text)}%"
        matches = or_(
            Answer.text.ilike(word, escape="\\"), cast(Sample.reference_answers, Text).ilike(word, escape="\\")
        )
        query = query.having(func.max(case((matches, 1), else_=0)) == 1)
    page = query.order_by(Sample.length, Sample.ordinal, Sample.id).limit(limit).offset(offset)
    with db.reading() as connection:
        rows = [_row(dict(row)) for row in connection.execute(page).mappings()]
        n_samples = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    frame = pd.DataFrame(rows, columns=list(SEARCH_COLUMNS), dtype="object")
    return Found(
        frame.astype({"length": "Int64", "ordinal": "int64", "n_answers": "int64", "score": "float64"}), n_samples
    )


def _samples(setting: Setting, task: str) -> Select[Any]:
    return (
        select(
            Sample.id.label("sample"),
            Sample.length,
            Sample.ordinal,
            func.count(case((DONE, 1))).label("n_answers"),
            func.avg(case((DONE, 100 * Answer.score))).label("score"),
            cast(Sample.reference_answers, Text).label("references"),
            cast(Sample.facets, Text).label("facets"),
        )
        .select_from(Cell)
        .join(Configuration, Configuration.id == Cell.configuration_id)
        .join(Answer, Answer.cell_id == Cell.id)
        .join(Sample, Sample.id == Answer.sample_id)
        .where(has_setting(setting), Cell.task == task)
        .group_by(Sample.id)
    )


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"references": parsed(row["references"]), "facets": parsed(row["facets"])}


def _escaped(text: str) -> str:
    """The text as a pattern that matches itself alone."""
    for character in ("\\", "%", "_"):
        text = text.replace(character, "\\" + character)
    return text
