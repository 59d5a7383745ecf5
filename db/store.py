"""The record, as a run writes it. Every method is one transaction: once it has returned, a crash loses nothing."""

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from sqlalchemy import URL, delete, insert, or_, select, update

from . import claims
from .answer_rows import done_answer, lock_cell, newest_answer, replace_answer, take_reason
from .cell_scores import update_score
from .claims import Claims
from .clock import moment
from .database import Database
from .done_answers import done_ordinals
from .errors import MissingRowError
from .named import check_there
from .opening import make_place, prepare
from .plan_rows import PlanRow, put_all
from .portions import portions
from .records import AnswerRecord
from .schema import Answer, Cell, Environment, Run
from .standing import DONE, FAILED
from .summaries import write_missing_summaries
from .urls import check_writable, sqlite_path

_BY_SIGNAL = 128
"""An exit code above it is that of a signal: 130 is Ctrl-C, 143 SIGTERM."""


class Store(Database):
    """The results of all runs. Methods raise StoreError when the database fails under them."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._newest_before: dict[str, int] = {}
        """By run that was started here the newest answer from before it. Answers are compared by number, not by time: a
        clock may be set back."""

    @classmethod
    def open(cls, url: URL, *, create: bool) -> Self:
        """Open the results at a URL of `resolve_url`.

        With `create` they are made where they are missing and brought to the newest schema; without, nothing is
        changed until something is put. UserError when this cannot be done, with what to type instead.
        """
        if create:
            check_writable(url)
            make_place(url)
        elif (path := sqlite_path(url)) is not None:
            check_there(path)
        with ExitStack() as undo:
            store = cls(url)
            undo.callback(store.close)
            prepare(store, create=create)
            if create:
                write_missing_summaries(store)
            undo.pop_all()
            return store

    def start_run(self, command: Sequence[str], environment: Environment) -> str:
        """Record an invocation by this process, and the environment if it is new; returns the run's id.

        Runs that were killed are recorded as interrupted.
        """
        run_id = uuid.uuid4().hex
        values = {"id": run_id, "command": list(command), "environment_id": environment.id, "status": "running"}
        with self.writing() as connection:
            put_all(connection, [environment])
            claims.interrupt_dead_runs(connection)
            self._newest_before[run_id] = newest_answer(connection)
            alive = claims.signs_of_life(connection)
            connection.execute(insert(Run).values(started_at=alive["heartbeat_at"], **values, **alive))
        return run_id

    def beat(self, run_id: str) -> None:
        """Say that a run is still alive; without this its claims lapse."""
        with self.writing() as connection:
            claims.beat(connection, run_id)

    def finish_run(self, run_id: str, exit_code: int) -> None:
        """Record how a run ended, and give up what it claims. MissingRowError for an unknown run."""
        ended = "interrupted" if exit_code > _BY_SIGNAL else "failed"
        with self.writing() as connection:
            values = {"status": ended if exit_code else "finished", "exit_code": exit_code}
            finished = update(Run).where(Run.id == run_id).values(finished_at=moment(connection), **values)
            if connection.execute(finished).rowcount == 0:
                raise MissingRowError("run", run_id)
            claims.release(connection, run_id)

    def claim(self, run_id: str, sample_id: str, cell_ids: Sequence[str], *, redo: bool = False) -> Claims:
        """Claim a sample for those of the cells that need its answer and that no other live run is at work on.

        With `redo` an answer given before the run began does not count. MissingRowError for a run not started here.
        """
        if run_id not in self._newest_before:
            raise MissingRowError("run", run_id)
        with self.writing() as connection:
            return claims.claim(connection, run_id, sample_id, cell_ids, after=self._newest_before[run_id], redo=redo)

    def put(self, *rows: PlanRow) -> None:
        """Write the rows of a plan, in any order, all or nothing.

        A row that is there stays as it is; but a cell takes the larger `samples_asked` (and with it the score over so
        many), and a method page or a task the newer text.
        """
        with self.writing() as connection:
            put_all(connection, rows)

    def put_answer(self, answer: AnswerRecord, *, redo: bool = False) -> bool:
        """Write an answer and give up its claim; False, and no answer is written, when a done one is there.

        A failed answer is replaced; with `redo` also a done one that was given before the answer's run began, but never
        by a failure. Answers are compared by ordinal, since a sample that could not be made has another id than the one
        that is made later. A text that could not be scored outlives a failure without one, and takes its reason. The
        cell has its score with the last of the answers asked for.
        MissingRowError for an unknown cell.
        """
        with self.writing() as connection:
            lock_cell(connection, answer.cell_id)
            claims.settle(connection, answer.cell_id, answer.sample_id, answer.run_id)
            done = done_answer(connection, answer)
            if done is not None and not (
                redo and answer.status == "done" and done <= self._newest_before[answer.run_id]
            ):
                return False
            if answer.status == "failed" and answer.text is None and take_reason(connection, answer):
                return True
            replace_answer(connection, answer)
            if answer.status == "done":
                update_score(connection, answer.cell_id)
        return True

    def put_score(self, cell_id: str, sample_id: str, run_id: str, score: float) -> bool:
        """Score [0, 1] a stored text that could not be scored before, and give up the run's claim on it.

        False, and nothing is scored, when there is none. ValueError for a score out of range.
        """
        if not 0 <= score <= 1:
            raise ValueError(f"an answer's score is in [0, 1], not {score}")
        unscored = (Answer.cell_id == cell_id, Answer.sample_id == sample_id, FAILED, Answer.text.is_not(None))
        with self.writing() as connection:
            claims.settle(connection, cell_id, sample_id, run_id)
            done = update(Answer).where(*unscored).values(status="done", error=None, score=score)
            if connection.execute(done).rowcount == 0:
                return False
            update_score(connection, cell_id)
        return True

    def put_score_error(self, cell_id: str, sample_id: str, run_id: str, error: str) -> None:
        """Say why a stored text could not be scored this time either, and give up the run's claim on it."""
        unscored = (Answer.cell_id == cell_id, Answer.sample_id == sample_id, FAILED)
        with self.writing() as connection:
            claims.settle(connection, cell_id, sample_id, run_id)
            connection.execute(update(Answer).where(*unscored).values(error=error))

    def done_ordinals(self, cell_ids: Sequence[str]) -> dict[str, frozenset[int]]:
        """By cell the ordinals of the samples that it has a done answer to; cells without any are left out."""
        with self.reading() as connection:
            return done_ordinals(connection, cell_ids)

    def answer_text(self, cell_id: str, sample_id: str) -> str | None:
        """The text of a done answer; None if there is none."""
        query = select(Answer.text).where(Answer.cell_id == cell_id, Answer.sample_id == sample_id, DONE)
        with self.reading() as connection:
            text: str | None = connection.scalar(query)
        return text

    def forget_failures(self, configuration_ids: Sequence[str]) -> None:
        """Delete the failed answers of these configurations, and the failed cells that are left without any."""
        is_failed = or_(Cell.error.is_not(None), Cell.id.in_(select(Answer.cell_id).where(FAILED)))
        with self.writing() as connection:
            for some in portions(configuration_ids):
                cells = select(Cell.id).where(Cell.configuration_id.in_(some), is_failed)
                for failed in portions(connection.scalars(cells).all()):
                    connection.execute(delete(Answer).where(Answer.cell_id.in_(failed), FAILED))
                    empty = (Cell.id.in_(failed), Cell.id.not_in(select(Answer.cell_id)))
                    connection.execute(delete(Cell).where(*empty))

    def fail_cell(self, cell_id: str, error: str) -> None:
        """Record why a cell could not be begun, until one of its samples is answered. MissingRowError for an unknown
        cell."""
        with self.writing() as connection:
            lock_cell(connection, cell_id)
            connection.execute(update(Cell).where(Cell.id == cell_id).values(error=error))
