import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, func, select, update

from lukv_bench.db.claims import EXPIRY_S, Claims
from lukv_bench.db.errors import MissingRowError
from lukv_bench.db.heartbeat import BEAT_S
from lukv_bench.db.records import AnswerRecord
from lukv_bench.db.schema import Answer, Claim, Run
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from .conftest import Rows

_WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def first(any_store: Store, rows: "Rows") -> str:
    """A run of this process, with one cell to answer."""
    return rows.put_all(any_store)


@pytest.fixture
def second(any_store: Store, rows: "Rows", first: str) -> str:
    """Another run at the same time."""
    return any_store.start_run(["run"], rows.environment)


def _n_claims(store: Store) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(Claim)) or 0


def test_what_one_run_claims_another_does_not_get(any_store: Store, first: str, second: str) -> None:
    assert any_store.claim(first, "s0", ["cell"]) == Claims(granted={"cell"})
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    assert any_store.claim(second, "s1", ["cell"]) == Claims(granted={"cell"})
    assert any_store.claim(first, "s0", ["cell"]) == Claims(granted={"cell"}), "its own claim stands in no one's way"


def test_an_answer_settles_its_claim(any_store: Store, rows: "Rows", first: str, second: str) -> None:
    any_store.claim(first, "s0", ["cell"])
    assert any_store.put_answer(rows.answer(first, 0))
    assert _n_claims(any_store) == 0
    assert any_store.claim(second, "s0", ["cell"]) == Claims(done={"cell"})
    any_store.claim(second, "s1", ["cell"])
    any_store.put_answer(AnswerRecord.failure("cell", "s1", second, "out of memory"))
    assert _n_claims(any_store) == 0


def test_an_answer_of_another_settles_no_claim_but_its_own(
    any_store: Store, rows: "Rows", first: str, second: str
) -> None:
    any_store.claim(first, "s0", ["cell"])
    any_store.put_answer(rows.answer(second, 0))
    assert _n_claims(any_store) == 1
    assert not any_store.put_answer(rows.answer(first, 0)), "it came too late"
    assert _n_claims(any_store) == 0


@pytest.mark.parametrize("exit_code", [0, 1, 130, 143])
def test_a_run_that_ended_holds_nothing(any_store: Store, first: str, second: str, exit_code: int) -> None:
    any_store.claim(first, "s0", ["cell"])
    any_store.finish_run(first, exit_code)
    assert _n_claims(any_store) == 0
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})


def _age(store: Store, run: str, seconds: float) -> None:
    """As if its last heartbeat lay so far back, on another machine."""
    with store.writing() as connection:
        beat = connection.scalar(select(Run.heartbeat_at).where(Run.id == run))
        aged = {"heartbeat_at": beat - timedelta(seconds=seconds), "pid_space": "another machine"}
        connection.execute(update(Run).where(Run.id == run).values(aged))


def test_the_claims_of_a_silent_run_lapse_and_a_heartbeat_revives_them(
    any_store: Store, first: str, second: str
) -> None:
    any_store.claim(first, "s0", ["cell"])
    _age(any_store, first, EXPIRY_S - 30)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    _age(any_store, first, EXPIRY_S + 1)
    any_store.beat(first)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    _age(any_store, first, EXPIRY_S + 1)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})
    assert any_store.claim(first, "s0", ["cell"]) == Claims(held={"cell"})
    assert 3 * BEAT_S < EXPIRY_S, "one late heartbeat must not cost a run its claims"


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps_keeps_no_dead_run_alive_and_loses_a_live_one_for_a_heartbeat(
    any_store: Store, first: str, second: str, jump_s: float
) -> None:
    any_store.claim(first, "s0", ["cell"])
    _age(any_store, first, jump_s)  # its last heartbeat was given by the clock before
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"}), "the dead do not come back with time"
    any_store.beat(second)
    any_store.claim(first, "s1", ["cell"])
    any_store.beat(first)
    assert any_store.claim(second, "s1", ["cell"]) == Claims(held={"cell"})


def test_a_clock_set_back_a_little_costs_nobody_a_claim(any_store: Store, first: str, second: str) -> None:
    any_store.claim(first, "s0", ["cell"])
    _age(any_store, first, -BEAT_S)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})


def _change(store: Store, run: str, **values: object) -> None:
    with store.writing() as connection:
        connection.execute(update(Run).where(Run.id == run).values(values))


def _read(store: Store, run: str) -> Run:
    with store.reading() as connection:
        return Run(**connection.execute(select(Run.__table__).where(Run.id == run)).mappings().one())


def test_a_silent_run_whose_process_is_there_keeps_its_claims(any_store: Store, first: str, second: str) -> None:
    """It waits for a lock, or reads one very long prompt in a library that lets no thread beat."""
    any_store.claim(first, "s0", ["cell"])
    silent_since = _read(any_store, first).heartbeat_at - timedelta(hours=3)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        _change(any_store, first, heartbeat_at=silent_since, pid=process.pid, pid_start=None)
        assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
        process.communicate()


def test_a_run_of_this_process_that_no_longer_beats_holds_nothing(
    any_store: Store, rows: "Rows", first: str, second: str
) -> None:
    """In a notebook the process outlives a run whose end could not be recorded."""
    any_store.claim(first, "s0", ["cell"])
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    silent_since = _read(any_store, first).heartbeat_at - timedelta(seconds=EXPIRY_S + 1)
    _change(any_store, first, heartbeat_at=silent_since)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})
    any_store.start_run(["run"], rows.environment)
    assert _read(any_store, first).status == "interrupted"


def test_a_process_that_took_a_dead_runs_number_is_not_that_run(any_store: Store, first: str, second: str) -> None:
    any_store.claim(first, "s0", ["cell"])
    start = _read(any_store, first).pid_start
    assert start is not None
    _change(any_store, first, pid_start=start - 1)
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})


def test_the_next_run_records_killed_ones_as_interrupted_and_leaves_live_ones(
    any_store: Store, rows: "Rows", first: str, second: str
) -> None:
    any_store.claim(first, "s0", ["cell"])
    any_store.claim(second, "s1", ["cell"])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    _change(any_store, first, pid=gone.pid)
    any_store.start_run(["run"], rows.environment)
    killed, live = _read(any_store, first), _read(any_store, second)
    assert (killed.status, killed.finished_at, killed.exit_code) == ("interrupted", killed.heartbeat_at, None)
    assert (live.status, live.finished_at) == ("running", None)
    assert _n_claims(any_store) == 1


def test_a_run_that_was_taken_for_dead_lives_on_with_its_next_heartbeat(
    any_store: Store, rows: "Rows", first: str
) -> None:
    _age(any_store, first, EXPIRY_S + 1)
    second = any_store.start_run(["run"], rows.environment)
    assert _read(any_store, first).status == "interrupted"
    any_store.beat(first)
    assert (_read(any_store, first).status, _read(any_store, first).finished_at) == ("running", None)
    any_store.claim(first, "s0", ["cell"])
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    any_store.finish_run(first, 0)
    any_store.beat(first)
    assert _read(any_store, first).status == "finished", "a late heartbeat takes no end back"


def test_a_run_of_an_older_schema_holds_nothing(any_store: Store, first: str, second: str) -> None:
    any_store.claim(first, "s0", ["cell"])
    with any_store.writing() as connection:
        connection.execute(update(Run).where(Run.id == first).values(heartbeat_at=None, pid=None, pid_space=None))
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_run_on_this_machine_is_dead_at_once(any_store: Store, second: str, first: str, reaped: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    any_store.claim(first, "s0", ["cell"])
    with any_store.writing() as connection:
        connection.execute(update(Run).where(Run.id == first).values(pid=process.pid, pid_start=None))
    assert any_store.claim(second, "s0", ["cell"]) == Claims(held={"cell"})
    process.send_signal(signal.SIGKILL)
    if not reaped:  # its end shows before anyone waited for it
        with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:
            while ") Z" not in stat.read():
                stat.seek(0)
    else:
        process.wait()
    assert any_store.claim(second, "s0", ["cell"]) == Claims(granted={"cell"})
    process.communicate()


def test_an_old_failure_is_tried_again_and_one_of_a_run_beside_is_not(
    any_store: Store, rows: "Rows", first: str
) -> None:
    any_store.put_answer(AnswerRecord.failure("cell", "s0", first, "out of memory"))
    later = any_store.start_run(["run"], rows.environment)
    assert any_store.claim(later, "s0", ["cell"]) == Claims(granted={"cell"})
    any_store.put_answer(AnswerRecord.failure("cell", "s1", first, "out of memory"))
    assert any_store.claim(later, "s1", ["cell"]) == Claims(failed={"cell": "out of memory"})


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps_between_two_runs_changes_neither_what_is_tried_again_nor_what_is_redone(
    any_store: Store, rows: "Rows", first: str, jump_s: float
) -> None:
    any_store.put_answer(rows.answer(first, 0))
    any_store.put_answer(AnswerRecord.failure("cell", "s1", first, "out of memory"))
    later = any_store.start_run(["run"], rows.environment)
    with any_store.writing() as connection:  # all that is stored is as if by the clock before
        at = connection.scalar(select(Run.started_at).where(Run.id == later))
        connection.execute(update(Answer).values(created_at=at - timedelta(seconds=jump_s)))
    assert any_store.claim(later, "s1", ["cell"]) == Claims(granted={"cell"})
    assert any_store.claim(later, "s0", ["cell"], redo=True) == Claims(granted={"cell"})
    assert any_store.put_answer(rows.answer(later, 0, text="new"), redo=True)
    assert [answer.text for answer in rows.stored(any_store)] == ["new"]
    with any_store.writing() as connection:
        connection.execute(update(Answer).values(created_at=at + timedelta(seconds=jump_s)))
    assert any_store.claim(later, "s0", ["cell"], redo=True) == Claims(done={"cell"})


def test_a_text_that_could_not_be_scored_is_handed_out_and_scored(any_store: Store, rows: "Rows", first: str) -> None:
    broken = rows.answer(first, 0, status="failed", error="metric broke", score=None, text="blue")
    assert any_store.put_answer(broken)
    assert any_store.done_ordinals(["cell"]) == {}
    later = any_store.start_run(["run"], rows.environment)
    assert any_store.claim(later, "s0", ["cell"]) == Claims(granted={"cell"}, texts={"cell": "blue"})
    assert any_store.put_score("cell", "s0", later, 0.5)
    assert _n_claims(any_store) == 0
    (answer,) = rows.stored(any_store)
    assert (answer.text, answer.score) == ("blue", 0.5)
    assert not any_store.put_score("cell", "s0", later, 1.0), "it is scored"
    with pytest.raises(ValueError, match="0, 1"):
        any_store.put_score("cell", "s0", later, float("nan"))


def test_redo_asks_for_what_was_done_before_the_run_and_replaces_it_only_by_an_answer(
    any_store: Store, rows: "Rows", first: str
) -> None:
    any_store.put_answer(rows.answer(first, 0, text="old"))
    redo = any_store.start_run(["run", "--redo"], rows.environment)
    assert any_store.claim(redo, "s0", ["cell"]) == Claims(done={"cell"})
    assert any_store.claim(redo, "s0", ["cell"], redo=True) == Claims(granted={"cell"})
    assert not any_store.put_answer(AnswerRecord.failure("cell", "s0", redo, "out of memory"), redo=True)
    assert [answer.text for answer in rows.stored(any_store)] == ["old"]
    assert any_store.put_answer(rows.answer(redo, 0, text="new"), redo=True)
    assert [answer.text for answer in rows.stored(any_store)] == ["new"]
    assert not any_store.put_answer(rows.answer(redo, 0, text="newer"), redo=True)
    assert any_store.claim(redo, "s0", ["cell"], redo=True) == Claims(done={"cell"})


def test_claims_of_more_cells_than_a_statement_takes(any_store: Store, rows: "Rows", first: str) -> None:
    names = [f"c{i}" for i in range(1203)]
    any_store.put(*(rows.cell(name) for name in names))
    any_store.put_answer(rows.answer(first, 0, cell="c700"))
    claims = any_store.claim(first, "s0", names)
    assert claims.done == {"c700"}
    assert claims.granted == set(names) - {"c700"}


@pytest.mark.parametrize("unknown", ["run", "sample", "cell"])
def test_what_is_not_in_the_database_is_named(any_store: Store, first: str, unknown: str) -> None:
    named = {"run": first, "sample": "s0", "cell": "cell"} | {unknown: "nope"}
    with pytest.raises(MissingRowError, match=f"There is no {unknown} nope in the database"):
        any_store.claim(named["run"], named["sample"], ["cell", named["cell"]])
    assert _n_claims(any_store) == 0


def test_processes_that_claim_at_once_share_the_work(any_url: URL, rows: "Rows", tmp_path: Path) -> None:
    with Store.open(any_url, create=True) as store:
        rows.put_all(store, samples=60, n_samples=60)
    text = any_url.render_as_string(hide_password=False)
    workers = [
        subprocess.Popen(
            [sys.executable, str(_WORKER), "share", text, "60"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        )
        for _ in range(3)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    computed = [sample for worker in workers for sample in worker.communicate(timeout=120)[0].split()]
    assert sorted(computed) == sorted(f"s{i}" for i in range(60)), "each answer is computed once"
    with Store.open(any_url, create=True) as store, store.reading() as connection:
        assert len(store.done_ordinals(["cell"])["cell"]) == 60
        assert connection.scalar(select(func.count()).select_from(Answer)) == 60


def test_a_text_that_was_not_scored_outlives_a_failure_without_one(any_store: Store, rows: "Rows") -> None:
    earlier = rows.put_all(any_store)
    unscored = rows.answer(earlier, status="failed", error="the metric broke", score=None)
    any_store.put_answer(unscored)
    later = any_store.start_run(["run"], rows.environment)
    any_store.put_answer(AnswerRecord.failure("cell", "s0", later, "the data are gone"))
    with any_store.reading() as connection:
        (stored,) = connection.execute(select(Answer.text, Answer.error)).all()
    assert stored == (unscored.text, "the data are gone")
    assert any_store.put_score("cell", "s0", later, 0.5)
