"""Ragged attention against its definition in float64."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from gpu_part import Place, poisoned
from kernel_ops import HALF_ERROR, Job, Results
from torch import Tensor

from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import ragged_attention
from lukv_bench.kernels.segments import Segments


@dataclass(frozen=True, eq=False)
class Chunk:
    """A chunk of queries [B, HQ, Q, D] over flat keys and values [S, D] with NaN in the spare slots."""

    query: Tensor
    keys: Tensor
    values: Tensor
    segments: Segments
    new: Tensor
    form: Form

    @classmethod
    def random(cls, place: Place, dtype: torch.dtype, dim: int, group: int, new: list[int], form: Form) -> "Chunk":
        """Two rows of three heads: of one token more than the chunk, of nearly all tokens, of no token but the
        chunk's; each row adds so many tokens."""
        n = 90 if place.is_small else 5000
        lengths = torch.tensor([[1, n, 0], [n // 3, 2, n - 7]]) + torch.tensor(new).unsqueeze(-1)
        segments = Segments.packed(lengths, lengths + 3)
        slots = segments.slots()
        random = torch.Generator().manual_seed(sum(new))
        flat = torch.full((2, int(segments.capacities.sum()), dim), float("nan"))
        flat[:, slots] = torch.randn(2, len(slots), dim, generator=random)
        query = torch.randn(2, max(*new, 1), 3 * group, dim, generator=random).transpose(1, 2)
        query, keys, values = (each.to(dtype).to(place.device) for each in (query, *flat))
        return cls(query, keys, values, segments, torch.tensor(new), form)

    def run(self, backend: Backend) -> Results:
        """The outputs of the queries that rows have, [n, HQ, D]; those of "torch" are float64's."""
        if backend == "torch":
            out = self.exact()
        else:
            with poisoned():
                arguments = self.query, self.keys, self.values, self.segments, self.new
                out, _ = ragged_attention(*arguments, self.form, backend=backend)
        n_queries = self.query.shape[2]
        real = torch.arange(n_queries) < torch.where(self.new > 0, self.new, n_queries).unsqueeze(-1)
        return (out[real.to(out.device)],)

    def exact(self) -> Tensor:
        """float64 [B, Q, HQ, D], segment after segment."""
        (n_batch, n_query_heads, n_queries, dim), n_heads = self.query.shape, self.segments.starts.shape[1]
        group, device = n_query_heads // n_heads, self.query.device
        out = torch.zeros(n_batch, n_heads, group, n_queries, dim, dtype=torch.float64, device=device)
        for b, n_new in enumerate(self.new.tolist()):
            own = torch.arange(n_new or n_queries, device=device) - n_new
            for head in range(n_heads):
                start, n = (int(part[b, head]) for part in (self.segments.starts, self.segments.lengths))
                query = self.query[b].unflatten(0, (n_heads, group))[head, :, : len(own)].double()
                last = n + own if n_new else torch.full_like(own, n - 1)
                keys, values = (flat[start : start + n].double() for flat in (self.keys, self.values))
                sinks = None if self.form.sinks is None else self.form.sinks.double().view(n_heads, group, 1, 1)[head]
                out[b, head, :, : len(own)] = self._of_head(query, keys, values, last, sinks)
        return out.flatten(1, 2).transpose(1, 2)

    def _of_head(self, query: Tensor, keys: Tensor, values: Tensor, last: Tensor, sinks: Tensor | None) -> Tensor:
        """float64 [G, n, D] of queries [G, n, D], each of which sees the slots up to its last one."""
        form, slots = self.form, torch.arange(len(keys), device=keys.device)
        logits = query @ keys.T * form.scale
        if form.softcap is not None:
            logits = form.softcap * (logits / form.softcap).tanh()
        hidden = slots > last.unsqueeze(-1)
        if form.window is not None:
            hidden |= slots <= last.unsqueeze(-1) - form.window
        logits = logits.masked_fill(hidden, float("-inf"))
        if sinks is not None:
            logits = torch.cat([logits, sinks.expand(*logits.shape[:2], 1)], dim=-1)
        return logits.softmax(dim=-1)[..., : len(keys)] @ values


def attention_jobs(place: Place, dtype: torch.dtype, dim: int, group: int, name: str) -> Iterator[Job]:
    """A decoding step, a step over a whole cache, a wide chunk, and a short one with every option of a form."""
    sinks = torch.linspace(-2, 3, 3 * group, device=place.device, dtype=dtype)
    forms = {
        "decode": ([1, 1], Form(dim**-0.5)),
        "no new token": ([0, 0], Form(dim**-0.5)),
        "chunk": ([8, 5] if place.is_small else [32, 5], Form(dim**-0.5)),
        "window, softcap, sinks": ([3, 0], Form(2 * dim**-0.5, window=40, softcap=3.0, sinks=sinks)),
    }
    for kind, (new, form) in forms.items():
        chunk, error = Chunk.random(place, dtype, dim, group, new, form), HALF_ERROR[dtype]
        yield Job(f"ragged_attention {kind}, {name}", chunk.run, 0, error, error)
