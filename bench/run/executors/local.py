"""Workers in processes of this machine, each with a model of its own."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from .... import UserError
from ...models.weights import ModelChanged
from ..unit import Unit
from .choice import PROCESS_NAME
from .pool import DONE, READY, Event, Lost, Refused, Step
from .setup import WorkerSetup

START_METHOD = "spawn"
"""A fresh interpreter: a forked one could not use CUDA, and could inherit locks of torch's threads."""


@dataclass(frozen=True, eq=False)
class LocalHand:
    """A worker's process, and the connection to it."""

    process: Any
    connection: "Connection[Any, Any]"

    def give(self, unit: Unit) -> None:
        """Send a unit; a process that has died is noticed when its events are read."""
        try:
            self.connection.send(unit)
        except OSError:
            return

    def end(self) -> None:
        """Kill it: it holds nothing that is not sent."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def event(self) -> Event:
        """Read what it has sent."""
        try:
            event: Event = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Lost(manner_of(self.process.exitcode))
        return event


@dataclass(frozen=True)
class LocalProcesses:
    """A process for each device, or several on one.

    Attributes:
        setup: Of all workers, but for the device and how many share its memory.
        devices: Of each worker.
    """

    setup: WorkerSetup
    devices: tuple[str, ...]

    @property
    def n_workers(self) -> int:
        """One for each device in the list."""
        return len(self.devices)

    def start(self, place: int) -> LocalHand:
        """Start a process."""
        context: Any = multiprocessing.get_context(START_METHOD)
        ours, theirs = context.Pipe()
        device = self.devices[place]
        batching = replace(self.setup.batching, n_sharing=self.devices.count(device))
        setup = replace(self.setup, device=device, batching=batching)
        process = context.Process(target=serve, args=(theirs, setup), name=f"{PROCESS_NAME} {place + 1}", daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        return LocalHand(process, ours)

    def events(self, hands: Sequence[LocalHand]) -> list[tuple[LocalHand, Event]]:
        """One event of each worker that has any."""
        speaking = set(map(id, wait([hand.connection for hand in hands])))
        return [(hand, hand.event()) for hand in hands if id(hand.connection) in speaking]


def manner_of(exit_code: int | None) -> str:
    """How a process ended, as part of a sentence."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else str(-exit_code)
        hint = ", as the system does when memory runs out" if -exit_code == 9 else ""
        return f"was killed by {name}{hint}"
    return f"ended with code {exit_code}"


def serve(connection: "Connection[Any, Any]", setup: WorkerSetup) -> None:
    """What a worker's process does: answer units until it is killed, or its driver is gone."""
    os.dup2(2, 1)  # what a plugin or a library prints is not part of the program's output
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the driver ends this one
    threading.Thread(target=_end_with_driver, daemon=True).start()
    try:
        worker = setup.make()
        connection.send(READY)
        while True:
            unit = connection.recv()
            for answer in worker.answers(unit, setup.batching, lambda step: connection.send(Step(step))):
                connection.send(answer)
            connection.send(DONE)
    except (UserError, ModelChanged) as error:
        connection.send(Refused(str(error)))
    except (EOFError, BrokenPipeError):  # the driver is gone
        return


def _end_with_driver() -> None:
    """End this process with the one that started it, also if that was killed."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
