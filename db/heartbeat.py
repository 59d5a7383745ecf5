"""A thread that says again and again that a run is alive."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from .errors import StoreError
from .store import Store

BEAT_S = 10.0
"""Seconds between two heartbeats: several fit into `claims.EXPIRY_S`."""


@contextmanager
def heartbeat(store: Store, run_id: str) -> Iterator[None]:
    """Keep a run's claims alive until the block ends."""
    ended = Event()

    def keep_beating() -> None:
        while not ended.wait(BEAT_S):
            with suppress(StoreError):  # the run itself meets the same failure at its next answer
                store.beat(run_id)

    thread = Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
