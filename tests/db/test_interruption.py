"""Ctrl-C at any moment of a transaction leaves a database that the same process can go on with."""

import gc
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from lukv_bench.db.interruption import deferred_signals
from lukv_bench.db.store import Store
from lukv_bench.db.urls import sqlite_path


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """No garbage is collected meanwhile: Python drops what is raised in the callbacks of a collection."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own handler, whatever the tests before left."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_at(step: int, work: Callable[[], Any]) -> bool:
    """Do work with Ctrl-C at its `step`-th call of a Python function; False when it has fewer."""
    steps = count()

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and next(steps) == step:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(profile)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.parametrize("transaction", ["writing", "reading"])
def test_the_lock_is_free_wherever_a_transaction_was_interrupted(
    store: Store, rows: Any, transaction: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = store.start_run(["run"], rows.environment)
    work = {"writing": lambda: store.beat(run), "reading": lambda: store.done_ordinals(["cell"])}[transaction]
    work()
    path = sqlite_path(store.url)
    assert path is not None
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    step = 0
    while interrupted_at(step, work):
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        step += 1
    other.close()
    assert step > 100, "the work was interrupted at every one of its calls"
    assert not caplog.records, "no exception was met inside SQLAlchemy"
    store.finish_run(run, 130)


def test_a_deferred_signal_is_handled_at_the_end_of_the_block() -> None:
    steps = []

    def block() -> None:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            steps.append("the block went on")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert steps
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_wait_can_be_left() -> None:
    steps = []

    def wait() -> None:
        with deferred_signals() as deferral:
            signal.raise_signal(signal.SIGINT)
            deferral.deliver()
            steps.append("the wait went on")

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert not steps


def test_signals_that_no_python_function_handles_stay_as_they_are() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with deferred_signals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_are_left_alone() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with deferred_signals():
                pass
        except BaseException as error:  # a thread's failure is the test's
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
