"""Which executor answers a run."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .... import UserError
from ...models.devices import AUTO

if TYPE_CHECKING:
    from ..batching import Batching
    from ..plan import Plan
    from .base import Executor

EXECUTORS = ("local", "ray")
MOST_WORKERS = 1024
PROCESS_NAME = "lukv-bench worker"


@dataclass(frozen=True)
class Workers:
    """Where a run is answered, as the user chose.

    Attributes:
        executor: One of EXECUTORS; None = in this process.
        n_workers: None = one for each GPU.
        address: Of a Ray cluster; None = Ray is started on this machine.
    """

    executor: str | None = None
    n_workers: int | None = None
    address: str | None = None

    def checked(self, device: str | None = None) -> "Workers":
        """Itself, if its parts go together and the executor is installed, which is not imported.

        Args:
            device: As the user named it.

        Raises:
            UserError: it cannot be served.
        """
        if self.executor is not None and self.executor not in EXECUTORS:
            raise UserError(f"--executor is {' or '.join(EXECUTORS)}, not {self.executor!r}.")
        if self.n_workers is not None and self.executor is None:
            raise UserError("--workers goes with --executor local or --executor ray; add one of them.")
        if self.n_workers is not None and not 1 <= self.n_workers <= MOST_WORKERS:
            raise UserError(f"--workers takes a number from 1 to {MOST_WORKERS}, not {self.n_workers}.")
        if device == AUTO and self.executor is not None:
            raise UserError(
                f"--device auto puts one model on all GPUs, and every worker of --executor {self.executor} has a model "
                "of its own; leave one of the two out."
            )
        if self.address is not None and self.executor != "ray":
            raise UserError("--address names a Ray cluster and goes with --executor ray; add it.")
        if self.address is not None and not self.address.strip():
            raise UserError("--address is empty; name HOST:PORT, auto, or leave it out to start Ray on this machine.")
        if self.executor == "local":
            _check_process()
        if self.executor == "ray" and find_spec("ray") is None:
            raise UserError("--executor ray needs Ray, which is not installed; type \"pip install 'lukv-bench[ray]'\".")
        return self


def _check_process() -> None:
    """Refuse a process that may not start workers.

    Raises:
        UserError: it is a worker, or a daemon of multiprocessing.
    """
    import multiprocessing

    process = multiprocessing.current_process()
    if process.name.startswith(PROCESS_NAME):  # a spawned process runs the main script again
        raise UserError(
            "the workers of a run read the script that started it; put its calls below "
            '`if __name__ == "__main__":`, so that they run in the first process alone.'
        )
    if process.daemon:
        raise UserError(
            "--executor local starts processes, and this one is a daemon of multiprocessing, which may not; leave "
            "--executor out, or start the run from the main process."
        )


@contextmanager
def open_executor(
    workers: Workers, plan: "Plan", device: str | None, batching: "Batching", *, keeps_model: bool = True
) -> "Iterator[Executor]":
    """The executor for a plan; its workers end with the block.

    Args:
        workers: Checked.
        plan: Its model is the one that answers in this process.
        device: As the user named it; None = CUDA where there is one.
        batching: How the configurations of a sample decode.
        keeps_model: Whether this process keeps the weights of the plan's model where others answer.

    Raises:
        UserError: the Ray cluster cannot be reached, or has no room for a worker.
    """
    from ..worker import Worker
    from .in_process import InProcess
    from .pool import Pool
    from .setup import WorkerSetup

    setup = WorkerSetup.of(plan.loaded, device, plan.profiles, batching)
    if workers.executor == "ray":
        from .ray_cluster import ray_cluster

        with ray_cluster(setup, workers.n_workers, workers.address) as cluster, closing(Pool(cluster)) as pool:
            if not keeps_model:
                plan.loaded.release_weights()
            yield pool
        return
    devices = _devices(plan, device, workers.n_workers)
    if workers.executor is None or not devices:
        yield InProcess(Worker(plan.loaded, plan.profiles), batching)
        return
    from .local import LocalProcesses

    if not keeps_model:
        plan.loaded.release_weights()
    with closing(Pool(LocalProcesses(replace(setup, n_threads=_threads(len(devices))), devices))) as pool:
        yield pool


def _devices(plan: "Plan", device: str | None, n_workers: int | None) -> tuple[str, ...]:
    """The device of each local worker; none where a worker would have no other device than this process."""
    import torch

    own = plan.loaded.device
    places = [str(own)]
    if own.type == "cuda" and device in (None, "cuda"):
        places = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if n_workers is None and len(places) == 1:
        return ()
    return tuple(places[index % len(places)] for index in range(n_workers or len(places)))


def _threads(n_workers: int) -> int:
    """The threads of each worker, which share those of this process."""
    import torch

    return max(1, torch.get_num_threads() // n_workers)
