"""A database of results, as rows for the command line and as data frames for scripts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import UserError
from .messages import python_messages
from .several import Names, names_of
from .single import optional_number, optional_place, optional_text, text_of
from .values import one_of, samples_limit

if TYPE_CHECKING:
    import pandas as pd

    from ...db.board import Board
    from ...db.pairs import ConfigurationPair
    from ...db.store import Store

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The results in a database, as pandas data frames. Every call reads the database anew.

    Attributes:
        db: A SQLite file or the URL of a database; None = the file under the user's data folder.
    """

    db: str | None = None

    @python_messages()
    def __post_init__(self) -> None:
        """Refuse a `db` that is no text."""
        optional_text("--db", self.db)

    @python_messages()
    def cells(self, task: Names | None = None, against: str | None = None) -> "pd.DataFrame":
        """A row per cell (a configuration on a task at a length), with the columns of `results --json`.

        `score` [0, 100] and the means are missing until every sample asked for is answered (`status` "complete");
        `n_failed` counts failed answers and `error` has the first reason. `interval` is the score's 95% interval
        [low, high]; `gain` is [mean, low, high] of the paired differences to the cell named in `against`.

        Args:
            task: Only these tasks or families.
            against: What the others are compared with: an allocator, "ALLOCATOR x SCORER", or the beginning of a
                cell's or configuration's id; None = uniform.

        Raises:
            UserError: the database cannot be read, or `task` or `against` names nothing in it.
        """
        from ...db.queries import COMPARED_COLUMNS, rows_frame

        with open_results(self.db) as store:
            rows = cell_rows(store, names_of(task), optional_text("--against", against))
            return rows_frame(rows, COMPARED_COLUMNS)

    @python_messages()
    def answers(self, task: Names | None = None, limit: int | None = None) -> "pd.DataFrame":
        """A row per answer: its text and score [0, 100], or its error, beside the sample's references.

        Args:
            task: Only these tasks or families.
            limit: Samples of each task and length, the first ones; None = all.

        Raises:
            UserError: the database cannot be read, `task` names nothing in it, or `limit` is no number of at least 1.
        """
        from ...db.answers import ANSWER_COLUMNS
        from ...db.queries import rows_frame

        number = optional_number("--limit", limit)
        if number is not None:
            samples_limit(number)
        with open_results(self.db) as store:
            return rows_frame(answer_rows(store, cell_rows(store, names_of(task)), number), ANSWER_COLUMNS)

    @python_messages()
    def costs(self, task: Names | None = None) -> "pd.DataFrame":
        """A row per measurement of `run(cost=True)`, with the columns of `results --cost --json`.

        Seconds are medians over the repeats, with quartiles in the columns that end in `_q1` and `_q3`; `repeats` has
        every value. Only rows of one `machine` and of equal `n_new_tokens` can be compared.

        Args:
            task: Only these tasks or families.

        Raises:
            UserError: the database cannot be read, or `task` names nothing in it.
        """
        from ...db.cost_rows import COST_COLUMNS
        from ...db.queries import rows_frame

        with open_results(self.db) as store:
            return rows_frame(cost_rows(store, names_of(task)), COST_COLUMNS)

    @python_messages()
    def compare(self, a: str, b: str, task: Names | None = None, by: str = "score") -> "pd.DataFrame":
        """Whether one configuration is better than another, over the samples that both answered.

        A row per task, and for several tasks one over all of them (`task` missing; tasks weigh the same), with the
        columns of `compare --json`: `difference` and its 95% interval `low`, `high`; `p_value` of the sign-flip test,
        and `p_holm`, corrected for the other rows; samples `won`, `lost` and `tied`; `samples_needed`.

        Args:
            a: An allocator, "ALLOCATOR x SCORER", that with ", BUDGET", or the beginning of a cell's or configuration's
                id.
            b: What it is compared with, named likewise.
            task: Only these tasks or families.
            by: What is compared: "score", or "kl", "agreement" or "nll", how the caches differ from the full one.

        Raises:
            UserError: the database cannot be read, a name is none of its, or no two cells can be paired.
        """
        import pandas as pd

        from ..reports.comparison import COMPARED_COLUMNS, compared_rows

        with open_results(self.db) as store:
            pairs = compared_pairs(store, text_of("a", a), text_of("b", b), names_of(task), text_of("by", by))
            return pd.DataFrame(compared_rows(pairs), columns=COMPARED_COLUMNS)

    @python_messages()
    def recommend(
        self,
        model: str,
        context_length: int,
        memory: str,
        min_quality: str = "98%",
        dtype: str | None = None,
        task: Names | None = None,
    ) -> "pd.DataFrame":
        """The configurations that fit a memory at a context length, those that keep enough of the score first.

        A row per configuration, with the columns of `recommend --json`: `quality` is percent of the full cache's score
        over the same samples, with its 95% interval `low`, `high`; `standing` is "met", "met so far" or "not met",
        `p_holm` the corrected p of the first; `command` is the run that would tell.

        Args:
            model: An alias, a hub id or a folder.
            context_length: Tokens of one sequence's context.
            memory: For the keys and values that it keeps, such as "2GiB" or "512MiB".
            min_quality: Percent of the full cache's score to keep.
            dtype: Of the cache; None = as measured.
            task: Only these tasks or families.

        Raises:
            UserError: the database cannot be read, has no complete results of the model or of its full cache, or an
                argument makes no sense.
        """
        import pandas as pd

        from ...db.recommendation import RECOMMENDED_COLUMNS
        from .recommend import need_of, recommended, recommended_rows

        dtype = optional_text("--dtype", dtype)
        length = optional_number("--context-length", context_length)
        texts = text_of("--model", model), text_of("--memory", memory), text_of("--min-quality", min_quality)
        need = need_of(texts[0], length or 0, *texts[1:], self.db)
        with open_results(self.db) as store:
            rows = recommended_rows(recommended(store, need, dtype, names_of(task)))
        return pd.DataFrame(rows, columns=RECOMMENDED_COLUMNS)

    @python_messages()
    def keep_counts(self, task: Names | None = None) -> "pd.DataFrame":
        """A row per done answer: cell, sample, ordinal, and `counts`, a list per layer with a number per KV head.

        Args:
            task: Only these tasks or families.

        Raises:
            UserError: the database cannot be read, or `task` names nothing in it.
        """
        from ...db.queries import keep_counts_frame

        with open_results(self.db) as store:
            return keep_counts_frame(store, [row["cell"] for row in cell_rows(store, names_of(task))])


@python_messages()
def read(db: str | Path | None = None) -> Results:
    """The results in a database, to be read as data frames.

    Args:
        db: A SQLite file or the URL of a SQLite or PostgreSQL database; None = the file under the user's data folder,
            where `run` stores by default.

    Raises:
        UserError: there is no such database, or it does not hold results.
    """
    place = optional_place("--db", db)
    results = Results(None if place is None else str(place))
    with open_results(results.db):
        return results


def open_results(db: str | None) -> "Store":
    """The store behind `--db`, for reading. Raises UserError when it is not there."""
    from ...db.named import check_there, named_file

    if (file := named_file(db)) is not None:
        check_there(file)
    from ...db.store import Store
    from ...db.urls import resolve_url

    return Store.open(resolve_url(db), create=False)


def cell_rows(store: "Store", task: Sequence[str] | None = None, against: str | None = None) -> list[Row]:
    """The rows of `Results.cells`, as plain values."""
    from ...db.comparison import result_rows

    rows = result_rows(store, against=against)
    if task is None:
        return rows
    tasks = _stored_tasks(task, {row["task"] for row in rows})
    return [row for row in rows if row["task"] in tasks]


def cost_rows(store: "Store", task: Sequence[str] | None = None) -> list[Row]:
    """The rows of `Results.costs`, as plain values."""
    from ...db.cost_rows import read_costs

    rows = read_costs(store)
    if task is None:
        return rows
    tasks = _stored_tasks(task, {row["task"] for row in rows})
    return [row for row in rows if row["task"] in tasks]


def answer_rows(store: "Store", cells: Sequence[Row], limit: int | None = None) -> list[Row]:
    """The rows of `Results.answers`, as plain values."""
    from ...db.answers import read_answers

    return read_answers(store, cells, limit)


def boards(store: "Store", rows: Sequence[Row], against: str | None, by: str | None) -> "list[Board]":
    """What `results --by` and `--pareto` show, of rows of `cell_rows`.

    Raises UserError if `against` or `by` names nothing.
    """
    from ...db.board import read_boards
    from ...db.rivals import UNIFORM, find_rivals, parse_against

    rule = UNIFORM if against is None else parse_against(against, rows)
    return read_boards(store, rows, find_rivals(rows, rule), by)


def compared_pairs(
    store: "Store", a: str, b: str, task: Sequence[str] | None = None, measure: str = "score"
) -> "list[ConfigurationPair]":
    """What `compare A B` shows. Raises UserError where a name is none, or nothing can be compared."""
    from ...db.measures import MEASURES
    from ...db.pairs import read_pairs
    from ...db.results import read_results

    one_of("--by", measure, tuple(MEASURES))
    chosen = MEASURES[measure]
    if task is None:
        return read_pairs(store, a, b, measure=chosen)
    stored = {row["task"] for row in read_results(store)}
    tasks = _stored_tasks(task, stored)
    if tasks.isdisjoint(stored):
        raise UserError(f"there are no results for {', '.join(task)}; leave --task out to compare over all tasks.")
    return read_pairs(store, a, b, tasks, measure=chosen)


def _stored_tasks(names: Sequence[str], stored: Collection[str]) -> set[str]:
    """The tasks that names stand for: tasks and families as `run` takes them, or stored tasks that this version no
    longer has."""
    from ...tasks.catalog import expand

    return {task for name in names for task in ([name] if name in stored else expand([name]))}
