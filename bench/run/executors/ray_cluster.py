"""Workers as actors of a Ray cluster, each with a model of its own. Results come back to this process.

Ray is an extra, imported when a run asks for it.
"""

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayActorError

from .... import UserError
from ...errors import WorkerError, first_line
from ...models.weights import ModelChanged
from ..unit import Unit
from .pool import DONE, READY, Event, Lost, Refused
from .setup import WorkerSetup

SETTINGS = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Of a Ray that is started here for this run alone: it writes no token into the user's home and reports nothing."""

CHECK_S, CONNECT_S, PATIENCE_S = 5.0, 5.0, 25.0
"""Seconds between two looks at the head, that one look takes at most, and without an answer after which the head is
lost. Ray itself would end this process after 60 s, in the middle of whatever it does."""


class Actor:
    """A worker on the cluster."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup

    def load(self) -> Event:
        """Load the model."""
        try:
            self._worker = self._setup.make()
        except UserError as error:
            return Refused(str(error))
        return READY

    def answers(self, unit: Unit) -> Iterator[Event]:
        """The answers of a unit as they come."""
        try:
            # Not "yield from": Ray sends values into generators, and those below take none.
            for answer in self._worker.answers(unit, self._setup.batching, lambda _: None):  # noqa: UP028
                yield answer
        except ModelChanged as error:
            yield Refused(str(error))


@dataclass
class Head:
    """The head of the cluster, whose loss ends a run.

    Attributes:
        address: HOST:PORT.
        node_id: Of the machine that this process is connected to; without it no worker can be started.
        checked_at: On the monotonic clock.
        silent_since: None while it answers.
        is_lost: Whether it was given up.
    """

    address: str
    node_id: str
    checked_at: float = field(default_factory=time.monotonic)
    silent_since: float | None = None
    is_lost: bool = False

    def check(self) -> None:
        """Look whether it is there, unless that was done a moment ago.

        Raises:
            WorkerError: it has not answered for PATIENCE_S.
        """
        if time.monotonic() - self.checked_at >= CHECK_S:
            self._look()

    def reach(self) -> None:
        """Wait until it answers: Ray ends a process that asks more of a head that is gone.

        Raises:
            WorkerError: it has not answered for PATIENCE_S.
        """
        self._look()
        while self.silent_since is not None:
            time.sleep(CHECK_S)
            self._look()

    def _look(self) -> None:
        now = self.checked_at = time.monotonic()
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        except OSError as error:
            self.silent_since = self.silent_since or now
            if now - self.silent_since >= PATIENCE_S:
                self.is_lost = True
                raise WorkerError(
                    f"the head of the Ray cluster at {self.address} is gone ({error.strerror or error}); what was "
                    "answered is stored: run the same command again once the cluster is back."
                ) from error
            return
        self.silent_since = None
        if not any(node["Alive"] and node["NodeID"] == self.node_id for node in ray.nodes()):
            self.is_lost = True
            raise WorkerError(
                "Ray has ended on the machine that this run was started on; what was answered is stored: start it and "
                "run the same command again."
            )


@dataclass(eq=False)
class RayHand:
    """An actor, and what is expected from it.

    Attributes:
        pending: A reference to its next event, or a generator of such; None while it has no unit.
    """

    actor: Any
    pending: Any
    head: "Head"

    def give(self, unit: Unit) -> None:
        """Begin to answer a unit."""
        self.pending = self.actor.answers.options(num_returns="streaming").remote(unit)

    def end(self) -> None:
        """Kill the actor."""
        if not self.head.is_lost:  # nobody would hear it; the actor ends with its cluster
            ray.kill(self.actor)

    def event(self) -> Event:
        """What has come."""
        try:
            if isinstance(self.pending, ray.ObjectRef):
                reference, self.pending = self.pending, None
            else:
                reference = next(self.pending)
            event: Event = ray.get(reference)
        except StopIteration:
            self.pending = None
            return DONE
        except RayActorError as error:
            return Lost(f"was lost ({first_line(error).rstrip('.')})")
        return event


@dataclass(frozen=True)
class RayCluster:
    """Actors on a cluster that this process is connected to.

    Attributes:
        setup: Of all workers.
        n_workers: At most as many as the cluster has room for.
        resources: Of each: CPUs and GPUs.
    """

    setup: WorkerSetup
    n_workers: int
    resources: Mapping[str, int]
    head: Head

    def start(self, place: int) -> RayHand:
        """Start an actor wherever the cluster has room.

        Raises:
            WorkerError: the head of the cluster is gone.
        """
        self.head.reach()
        actor = ray.remote(Actor).options(max_restarts=0, **self.resources).remote(self.setup)
        return RayHand(actor, actor.load.remote(), self.head)

    def events(self, hands: Sequence[RayHand]) -> list[tuple[RayHand, Event]]:
        """One event of each worker that has any."""
        by_pending = {hand.pending: hand for hand in hands if hand.pending is not None}
        ready: list[Any] = []
        while not ready:
            self.head.check()
            ready, _ = ray.wait(list(by_pending), num_returns=1, timeout=CHECK_S)
        return [(by_pending[pending], by_pending[pending].event()) for pending in ready]


@contextmanager
def ray_cluster(setup: WorkerSetup, n_workers: int | None, address: str | None) -> Iterator[RayCluster]:
    """Connect to a cluster, or start one on this machine for the length of the block.

    Args:
        setup: Of all workers.
        n_workers: None = one for each GPU, or for each machine where there is none.
        address: None = start Ray here.

    Raises:
        UserError: the cluster cannot be reached, or has no room for so many workers.
    """
    if address is None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
    with tempfile.TemporaryDirectory(prefix="lukv-bench-") as empty:
        try:
            with (
                _own_signals(),
                chdir(empty),
            ):  # Ray's workers import from the folder that the driver is in before anything else
                ray.init(
                    address=address,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
        except Exception as error:  # Ray raises this very class where a machine is too busy to start it in time
            reason = first_line(error).rstrip(".")
            if address:
                sentence = f"the Ray cluster at {address} cannot be reached ({reason}); check --address."
            else:
                sentence = f"Ray cannot be started here ({reason}); try again, or run without --executor ray."
            raise UserError(sentence) from error
        context = ray.get_runtime_context()
        head = Head(context.gcs_address, context.get_node_id())
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            n_workers, resources = room(nodes, setup.device, n_workers)
            n_threads = None if resources["num_gpus"] else resources["num_cpus"]
            batching = replace(setup.batching, n_sharing=most_on_a_device(nodes, n_workers, resources))
            yield RayCluster(replace(setup, n_threads=n_threads, batching=batching), n_workers, resources, head)
        finally:
            if not head.is_lost:
                ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Take the handling of SIGTERM back after the block: Ray's would end the program without a record of the run."""
    if threading.current_thread() is not threading.main_thread():  # where Ray sets none
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def room(nodes: Sequence[Mapping[str, float]], device: str | None, n_workers: int | None) -> tuple[int, dict[str, int]]:
    """The number of workers, and the CPUs and GPUs of each.

    Args:
        nodes: The resources of each machine, by Ray's names.
        device: As the user named it; "cpu" leaves GPUs alone.
        n_workers: None = one for each GPU, or for each machine where there is none.

    Raises:
        UserError: the cluster has not so many.
    """
    gpus = 0 if device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    n = n_workers or gpus or len(nodes)
    if gpus:
        if n > gpus:
            raise UserError(f"--workers {n} is more than the Ray cluster has GPUs, {gpus}.")
        return n, {"num_gpus": 1, "num_cpus": 0}
    for each in range(max(cpus, default=0), 0, -1):
        if sum(count // each for count in cpus) >= n:
            return n, {"num_gpus": 0, "num_cpus": each}
    raise UserError(f"--workers {n} is more than the Ray cluster has CPUs, {sum(cpus)}.")


def most_on_a_device(nodes: Sequence[Mapping[str, float]], n_workers: int, resources: Mapping[str, int]) -> int:
    """The most workers that Ray may put on one machine, whose memory they share; a GPU is one worker's.

    Args:
        nodes: The resources of each machine, by Ray's names.
        n_workers: In all.
        resources: The CPUs and GPUs of each, as `room` gives them.
    """
    if resources["num_gpus"]:
        return 1
    return min(n_workers, max(int(node.get("CPU", 0)) // resources["num_cpus"] for node in nodes))
