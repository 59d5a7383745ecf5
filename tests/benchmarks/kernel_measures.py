"""Seconds, bandwidth and bytes of one op."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from kernel_ops import Job

WARM_UPS, LEAST, MOST, ENOUGH_S = 3, 3, 100, 0.5
"""Runs before those that count; at least and at most so many that do, and the seconds after which there are enough."""
COPIED_BYTES = 2**30


@dataclass(frozen=True)
class Row:
    """One op of one layer in one backend; what was not measured is None.

    Attributes:
        model: Whose layer.
        n_tokens: T.
        budget: Whose numbers of kept tokens, "-" where the op needs none.
        evicted: Share of the model's tokens that is evicted.
        op: Its name.
        backend: How it was computed.
        wrong: Why its result is not plain torch's; "" where it is.
        floor_bytes: What it must move.
        moved_bytes: What its loads and stores moved, in the interpreter.
        seconds: Median of its runs.
        share_of_copy: Floor bytes a second over those of a large copy on the same card.
    """

    model: str
    n_tokens: int
    budget: str
    evicted: float | None
    op: str
    backend: str
    wrong: str
    floor_bytes: int
    moved_bytes: int | None
    seconds: float | None
    share_of_copy: float | None


def row(
    job: Job,
    model: str,
    n_tokens: int,
    budget: str,
    evicted: float | None,
    backend: str,
    wrong: str,
    *,
    took: float | None = None,
    moved: int | None = None,
    copy: float | None = None,
) -> Row:
    """What was found of a job."""
    share = None if took is None or copy is None else job.floor_bytes / took / copy
    return Row(model, n_tokens, budget, evicted, job.op, backend, wrong, job.floor_bytes, moved, took, share)


def counted(job: Job) -> tuple[int | None, str]:
    """(bytes that the interpreted kernels move, why the result is wrong): no bytes of a wrong result."""
    from byte_counter import bytes_moved  # Triton, which a run on a GPU must not interpret

    wrong = job.difference("triton-interpret")
    if wrong:
        return None, wrong
    with bytes_moved() as moved:
        job.run("triton-interpret")
    return moved.total, ""


def seconds(run: Callable[[], object], *, on_gpu: bool) -> float:
    """Median seconds of a run, after a warm-up."""
    for _ in range(WARM_UPS if on_gpu else 1):
        run()
    took, began = list[float](), perf_counter()
    while len(took) < LEAST or (len(took) < MOST and perf_counter() - began < ENOUGH_S):
        took.append(_on_gpu(run) if on_gpu else _on_cpu(run))
    return median(took)


def _on_cpu(run: Callable[[], object]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def _on_gpu(run: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def copy_bytes_per_s() -> float:
    """Bytes a second, read and written, of a copy too large for any cache."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / seconds(lambda: target.copy_(source), on_gpu=True)
