"""Every op on one layer: what it is given, what it must move, and when a result is right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from kernel_shapes import PROTECTION, Shape
from torch import Tensor

from lukv_bench.kernels import append, compact, keydiff, projected_norm, ragged_attention, select, window_attention
from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention.schedule import Schedule
from lukv_bench.kernels.segments import Segments

Results = tuple[Tensor, ...]
HALF_ERROR = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Of attention over standard normal values: weights and outputs are rounded to the type."""

HIDDEN = 512
"""Columns of the output projection; its Gram matrices, which the norms are made of, have the same size for any."""


@dataclass(frozen=True)
class Job:
    """One op on one layer.

    Attributes:
        op: Its name.
        run: Computes it; the results are the same tensors in every backend.
        floor_bytes: What it must move.
        atol: A result may differ from plain torch by this much and `rtol` times its value; both 0 = not at all.
        clear: Takes away what an earlier run left behind, where an op writes in place.
    """

    op: str
    run: Callable[[Backend], Results]
    floor_bytes: int
    atol: float = 0.0
    rtol: float = 0.0
    clear: Callable[[], object] = tuple

    def difference(self, backend: Backend) -> str:
        """Why the result of a backend is wrong, in words; "" where it is right."""
        self.clear()
        expected = [result.clone() for result in self.run("torch")]
        self.clear()
        got = self.run(backend)
        for want, have in zip(expected, got, strict=True):
            if want.shape != have.shape:
                return f"shape {list(have.shape)} instead of {list(want.shape)}"
            error = (want.double() - have.double()).abs()
            if not bool((error <= self.atol + self.rtol * want.double().abs()).all()):  # NaN is wrong, too
                return f"differs by {float(error.max()):.2g} where {self.atol:g} + {self.rtol:g} x is allowed"
        return ""


@dataclass(frozen=True)
class Layer:
    """Keys, values [1, H, T, D], queries [1, HQ, W, D] and an output projection [HQ, D, hidden] of random numbers."""

    shape: Shape
    keys: Tensor
    values: Tensor
    queries: Tensor
    weight: Tensor

    @classmethod
    def random(cls, shape: Shape, n_tokens: int, dtype: torch.dtype, device: torch.device) -> "Layer":
        generator = torch.Generator(device).manual_seed(0)

        def normal(n_heads: int, n: int) -> Tensor:
            return torch.randn(1, n_heads, n, shape.dim, generator=generator, device=device).to(dtype)

        window = normal(shape.n_query_heads, PROTECTION.window)
        weight = normal(shape.n_query_heads, HIDDEN)[0].transpose(1, 2).contiguous()
        return cls(shape, normal(shape.n_heads, n_tokens), normal(shape.n_heads, n_tokens), window, weight)

    @property
    def n_tokens(self) -> int:
        return self.keys.shape[2]


def scoring_jobs(layer: Layer) -> Iterator[Job]:
    """What runs before a budget is known."""
    shape, n, dim, size = layer.shape, layer.n_tokens, layer.shape.dim, layer.keys.itemsize
    heads, form = (1, shape.n_heads), Form(shape.dim**-0.5)
    yield Job(
        "keydiff",
        lambda backend: (keydiff.keydiff(layer.keys, backend=backend),),
        keydiff.floor_bytes(*heads, n, dim, size),
        atol=4e-6,
    )
    yield Job(
        "window_attention",
        lambda backend: (window_attention.window_attention(layer.queries, layer.keys, form, backend=backend),),
        window_attention.floor_bytes(*heads, shape.group, n, layer.queries.shape[2], dim, size),
        *(2e-6, 4e-5),
    )
    yield Job(
        "projected_norm",
        lambda backend: (projected_norm.projected_norm(layer.values, layer.weight, backend=backend),),
        projected_norm.floor_bytes(*heads, shape.group, n, dim, size),
        *(2e-5, 4e-5),
    )


def eviction_jobs(layer: Layer, counts: Tensor) -> Iterator[Job]:
    """What runs once each head has its count, int64 [1, H]."""
    shape, size, device = layer.shape, layer.keys.itemsize, layer.keys.device
    scores, protected = keydiff.keydiff(layer.keys), PROTECTION.mask(layer.n_tokens).to(device)
    kept, n_kept = select.select(scores, counts, protected), int(counts.sum())

    def selected(backend: Backend) -> Results:
        found = select.select(scores, counts, protected, backend=backend)
        return found.mask, found.positions

    yield Job("select", selected, select.floor_bytes(shape.n_heads, layer.n_tokens, n_kept))
    packed = Segments.packed(counts, counts)
    yield Job(
        "compact",
        lambda backend: compact.compact(layer.keys, layer.values, kept, packed, backend=backend),
        compact.floor_bytes(n_kept, shape.dim, size),
    )
    yield from _decoding_jobs(layer, counts, kept)


def _decoding_jobs(layer: Layer, counts: Tensor, kept: select.Kept) -> Iterator[Job]:
    """A step of one token: it is appended, and the query attends to what is kept and to it."""
    shape, one, size = layer.shape, torch.ones(1, dtype=torch.int64), layer.keys.itemsize
    before = Segments.packed(counts, counts + 1)
    slots = before.slots().to(layer.keys.device)
    keys, values = (
        torch.zeros(int(before.capacities.sum()), shape.dim, dtype=layer.keys.dtype, device=layer.keys.device)
        for _ in range(2)
    )
    packed = compact.compact(layer.keys, layer.values, kept, Segments.packed(counts, counts))
    keys[slots], values[slots] = packed
    new = layer.keys[:, :, -1:] + 1, layer.values[:, :, -1:] + 1

    # Triton's forms find their tables on the device, as a decoding store has them; torch's want them on the CPU.
    device_one, device_before = one.to(keys.device), before.to(keys.device)

    def appended(backend: Backend) -> Results:
        where, n_new = (before, one) if backend == "torch" else (device_before, device_one)
        append.append(keys, values, where, *new, n_new, backend=backend)
        return keys, values

    newest = before.next_slots(1).flatten().to(keys.device)

    def clear() -> None:
        keys[newest] = values[newest] = float("nan")

    yield Job("append", appended, append.floor_bytes(1, shape.n_heads, shape.dim, size), clear=clear)
    appended("torch")
    after, query, form = before.extended(one), layer.queries[:, :, -1:], Form(shape.dim**-0.5)
    device_after, plan = after.to(keys.device), Schedule().current(after.lengths, shape.group, keys)

    def attended(backend: Backend) -> Results:
        where, n_new = (after, one) if backend == "torch" else (device_after, device_one)
        out, _ = ragged_attention.ragged_attention(
            query, keys, values, where, n_new, form, backend=backend, plan=None if backend == "torch" else plan
        )
        return (out,)

    n_slots = int(after.lengths.sum())
    error = HALF_ERROR[layer.keys.dtype]
    floor = ragged_attention.floor_bytes(n_slots, 1, shape.n_query_heads, shape.dim, size)
    yield Job("ragged_attention", attended, floor, error, error)
