"""Every op of the kernels against plain torch, in the types and head dims that are shipped.

Keys and values are views amid NaN, spare slots hold NaN, and so does every new tensor until it is written. Selection,
compaction and the append must give the same numbers; selection is compared with plain torch on the CPU, which is
another sort than a card's. Attention must be within a stated error of float64, scores within one of plain torch.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from gpu_attention import attention_jobs
from gpu_part import Check, Outcome, Place, Say, poisoned
from gpu_stores import store_jobs
from kernel_ops import Job, Results
from torch import Tensor

from lukv_bench.kernels import append, compact, keydiff, projected_norm, select, window_attention
from lukv_bench.kernels.aot_case import SHIPPED
from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.segments import Segments
from lukv_bench.kernels.select import Kept
from lukv_bench.tests.amid_nan import amid_nan

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
GROUPS = {64: 3, 80: 1, 96: 7, 128: 4, 256: 8}
"""Query heads of a KV head, by head dim: any pairing serves."""
SMALL = (("fp32", 64),)
HIDDEN = 333


def checks(place: Place) -> Mapping[str, Check]:
    """By name; those that matter most come first."""
    jobs = [job for dtype, dim in (SMALL if place.is_small else SHIPPED) for job in _jobs(place, dtype, dim)]
    return {job.op: partial(_judged, place.backend, job) for job in (*_selections(place), *jobs)}


def _judged(backend: Backend, job: Job, _say: Say) -> Outcome:
    return Outcome(job.difference(backend))


def _jobs(place: Place, dtype: str, dim: int) -> Iterator[Job]:
    name = f"{dtype} D{dim}"
    yield from _scorings(place, DTYPES[dtype], dim, name)
    yield _compaction(place, DTYPES[dtype], dim, name)
    yield from (_append(place, DTYPES[dtype], dim, name, n_new) for n_new in (1, 40))
    yield from attention_jobs(place, DTYPES[dtype], dim, GROUPS[dim], name)
    if dim == (64 if place.is_small else 128):
        yield from store_jobs(place, DTYPES[dtype], dim, GROUPS[dim], name)


def _normal(place: Place, *shape: int) -> Tensor:
    """Of standard normal numbers, the same each time."""
    generator = torch.Generator(place.device).manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, device=place.device)


def _scorings(place: Place, dtype: torch.dtype, dim: int, name: str) -> Iterator[Job]:
    n_batch, n_heads, n_tokens, group = (1, 2, 70, 2) if place.is_small else (2, 4, 3001, GROUPS[dim])
    keys = _normal(place, n_batch, n_heads, n_tokens, dim) + 0.5
    keys = amid_nan((keys * (10 * _normal(place, n_batch, n_heads, n_tokens, 1).sigmoid())).to(dtype))

    def run(op: str, backend: Backend) -> Results:
        with poisoned():
            if op == "keydiff":
                return (keydiff.keydiff(keys, backend=backend),)
            if op == "norm":
                weight = _normal(place, n_heads * group, dim, HIDDEN).to(dtype)
                return (projected_norm.projected_norm(keys, weight, backend=backend),)
            n_window, is_capped = int(op.removesuffix("-capped")), op.endswith("-capped")
            queries = amid_nan(_normal(place, n_batch, n_heads * group, n_window, dim).to(dtype))
            form = Form(dim**-0.5)
            if is_capped:
                form = Form(dim**-0.5, softcap=3.0, sinks=_normal(place, n_heads * group).to(dtype))
            return (window_attention.window_attention(queries, keys, form, backend=backend),)

    yield Job(f"keydiff {name}", partial(run, "keydiff"), 0, atol=4e-6)
    for window in ("32", "1", "32-capped"):
        yield Job(f"window_attention W{window} {name}", partial(run, window), 0, 2e-6, 4e-5)
    yield Job(f"projected_norm {name}", partial(run, "norm"), 0, 2e-5, 4e-5)


def _selections(place: Place) -> Iterator[Job]:
    """Scores that differ, that tie, that are extreme, and that differ in their last bits only."""
    for kind in ("distinct", "ties", "extremes", "neighbours"):
        n_tokens = 40 if place.is_small else 20_011
        random = torch.Generator().manual_seed(n_tokens)
        scores = _scores(kind, (2, 1, 2, n_tokens), random)
        protected = torch.rand(n_tokens, generator=random) < 0.05
        low = int(protected.sum())
        counts = torch.randint(low, n_tokens + 1, (2, 3, 2), generator=random)
        counts[0, 0] = torch.tensor([0, n_tokens])

        def run(
            backend: Backend, scores: Tensor = scores, counts: Tensor = counts, kept: Tensor = protected
        ) -> Results:
            device = torch.device("cpu") if backend == "torch" else place.device
            with poisoned():
                layers = select.select_layers(scores.to(device), counts, kept.to(device), backend=backend)
            return tuple(part.to(place.device) for one in layers for part in (one.mask, one.positions, one.offsets))

        yield Job(f"select {kind}", run, 0)


def _scores(kind: str, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    if kind == "distinct":
        return torch.randn(shape, generator=random)
    if kind == "ties":
        return torch.randint(-2, 3, shape, generator=random).float()
    if kind == "neighbours":
        return (torch.randint(0, 600, shape, generator=random, dtype=torch.int32) + 0x3F7FFF00).view(torch.float32)
    values = torch.tensor([float("inf"), float("-inf"), 0.0, -0.0, 1e-40, -1e-40, 3.4e38, -3.4e38, 1.0])
    return values[torch.randint(len(values), shape, generator=random)]


def _compaction(place: Place, dtype: torch.dtype, dim: int, name: str) -> Job:
    """Three configurations of one context: an empty head, a head of one token, heads that keep nearly all or all."""
    n_heads, n_tokens, room = 2, 70 if place.is_small else 3001, 3
    keys, values = (_normal(place, 1, n_heads, n_tokens + more, dim)[:, :, more:].to(dtype) for more in (0, 1))
    wanted = torch.tensor([0, 1, n_tokens, n_tokens // 3, n_tokens - 1, 0])
    order = torch.rand(6, n_tokens, generator=torch.Generator().manual_seed(1)).argsort(-1).argsort(-1)
    kept = Kept.of_mask((order < wanted.unsqueeze(-1)).view(3, n_heads, n_tokens)).to(place.device)
    segments = Segments.packed(kept.counts, kept.counts + room)
    slots = segments.slots().to(place.device)

    def run(backend: Backend) -> Results:
        with poisoned():
            flat = compact.compact(amid_nan(keys), amid_nan(values), kept, segments, backend=backend)
        spare = [each.index_fill(0, slots, float("nan")) for each in flat]  # what is not kept stays unwritten
        is_free = [torch.tensor(backend == "torch" or bool(each.isnan().all())) for each in spare]
        return (*(each[slots] for each in flat), *is_free)

    return Job(f"compact {name}", run, 0)


def _append(place: Place, dtype: torch.dtype, dim: int, name: str, n_new: int) -> Job:
    """Two rows, the second of which adds fewer tokens where there are several."""
    lengths = torch.tensor([[5, 0], [33, 1]])
    segments = Segments.packed(lengths, lengths + n_new)
    new = torch.tensor([n_new, n_new if n_new == 1 else n_new // 5])
    chunk = [amid_nan(_normal(place, 2, 2, n_new + more, dim)[:, :, more:].to(dtype)) for more in (0, 1)]

    def run(backend: Backend) -> Results:
        flat = [torch.zeros(int(segments.capacities.sum()), dim, dtype=dtype, device=place.device) for _ in range(2)]
        append.append(*flat, segments, *chunk, new, backend=backend)
        return tuple(flat)

    return Job(f"append Q{n_new} {name}", run, 0)
