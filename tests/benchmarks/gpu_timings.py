"""What the kernels take at the shape of Llama-3.1-8B: a short selection of `make bench-kernels`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial

import torch
from gpu_part import Check, Outcome, Place, Say
from gpu_unequal import very_unequal
from kernel_measures import Row, copy_bytes_per_s, row, seconds
from kernel_ops import Job, Layer, eviction_jobs, scoring_jobs
from kernel_shapes import MODELS, Shape
from torch import Tensor

MODEL, EVICTED = "Llama-3.1-8B", 0.8
LENGTHS = (4096, 32_768)


def checks(place: Place) -> Mapping[str, Check]:
    """One for each length."""
    lengths = (256,) if place.is_small else LENGTHS
    return {f"{MODEL}, {n:,} tokens": partial(_timed, place, n) for n in lengths}


def _timed(place: Place, n_tokens: int, say: Say) -> Outcome:
    """A row for each op in plain torch and in the kernels; no seconds of a result that is wrong."""
    shape, on_gpu = MODELS[MODEL], place.device.type == "cuda"
    layer = Layer.random(shape, n_tokens, torch.bfloat16, place.device)
    copy = copy_bytes_per_s() if on_gpu else None
    rows = list[Row]()
    for budget, evicted, job in _jobs(layer, shape, n_tokens):
        say(f"{job.op}, {budget}")
        for backend in dict.fromkeys(("torch", place.backend)):
            wrong = job.difference(backend) if backend != "torch" else ""
            took = None if wrong else seconds(lambda job=job, backend=backend: job.run(backend), on_gpu=on_gpu)
            rows.append(row(job, MODEL, n_tokens, budget, evicted, backend, wrong, took=took, copy=copy))
    wrong = "; ".join(f"{one.op} ({one.budget}) {one.wrong}" for one in rows if one.wrong)
    return Outcome(wrong, {"copy_bytes_per_s": copy, "rows": [asdict(one) for one in rows]})


def _jobs(layer: Layer, shape: Shape, n_tokens: int) -> Iterator[tuple[str, float | None, Job]]:
    """(budget, share evicted, op)."""
    yield from (("-", None, job) for job in scoring_jobs(layer))
    for budget, counts in _counts(shape, n_tokens):
        yield from ((budget, EVICTED, job) for job in eviction_jobs(layer, counts))


def _counts(shape: Shape, n_tokens: int) -> Iterator[tuple[str, Tensor]]:
    """Whose budgets they are, and the counts int64 [1, H] of one layer."""
    each = round((1 - EVICTED) * n_tokens)
    yield "uniform", torch.full((1, shape.n_heads), each)
    counts = very_unequal(shape.n_layers, shape.n_heads, n_tokens, each * shape.n_layers * shape.n_heads)
    layer = int((counts.max(dim=1).values / counts.double().mean(dim=1)).argmax())
    yield f"very unequal, {int(counts[layer].min())} to {int(counts[layer].max())}", counts[layer].unsqueeze(0)
