"""Compiles cases for cards, several at a time, and says which may not be shipped."""

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import cycle
from math import prod

from ..aot_case import Case
from .discovery import cases_of
from .targets import TARGETS
from .usage import Usage


@dataclass(frozen=True)
class Job:
    """One case for one card, in words that another process understands."""

    module: str
    case: str
    target: str

    def __str__(self) -> str:
        return f"{self.case} for {self.target}"


@dataclass(frozen=True)
class Verdict:
    """What became of a job: its usage, and why it may not be shipped, empty where it may."""

    job: Job
    usage: Usage | None
    faults: tuple[str, ...]


def jobs(modules: Sequence[str], targets: Sequence[str], *, quick: bool = False) -> list[Job]:
    """Every case for every card; `quick`: of every kernel the case with the largest tiles, the cards in turn.

    Raises:
        CasesError: a module does not list its cases.
    """
    listed = [(module, case) for module in modules for case in cases_of(module).values()]
    if not quick:
        return [Job(module, case.name, target) for module, case in listed for target in targets]
    largest = dict[tuple[str, str], Case]()
    for module, case in listed:
        kernel = (module, case.kernel.__name__)
        if kernel not in largest or _bulk(case) > _bulk(largest[kernel]):
            largest[kernel] = case
    cards = cycle(targets)
    return [Job(module, case.name, next(cards)) for (module, _), case in largest.items()]


def _bulk(case: Case) -> int:
    """Grows with what a program holds: the product of its sizes, by the bytes of the widest floats it points to."""
    widths = {"*fp16": 2, "*bf16": 2, "*fp32": 4}
    widest = max(widths.get(kind, 1) for kind in case.types.values())
    return widest * prod(size for size in case.constexprs.values() if isinstance(size, int) and size > 1)


def verdicts(todo: Sequence[Job], n_processes: int) -> list[Verdict]:
    """Compile all, in the order given; a line on stderr for each that is done."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(n_processes, len(todo))), mp_context=context) as pool:
        futures = {pool.submit(judge, job): job for job in todo}
        for n, future in enumerate(as_completed(futures), 1):
            print(f"{n}/{len(todo)} {futures[future]}", file=sys.stderr, flush=True)
    return [_result(future, job) for future, job in futures.items()]


def _result(future: Future[Verdict], job: Job) -> Verdict:
    try:
        return future.result()
    except BrokenProcessPool:
        return Verdict(job, None, ("was not compiled: this kernel, or one beside it, ended the compiler's process",))


def judge(job: Job) -> Verdict:
    """Compile one case for one card."""
    from .build import build  # Triton: only where something is compiled

    case, target = cases_of(job.module)[job.case], TARGETS[job.target]
    try:
        usage = build(case, target)
    except Exception as error:  # a kernel that a compiler refuses is what this looks for, whatever it raises
        return Verdict(job, None, (f"does not compile: {type(error).__name__}: {error}",))
    return Verdict(job, usage, tuple(usage.faults(target)))
