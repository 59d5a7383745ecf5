"""Ragged attention in plain torch: the reference for any faster form."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ..form import Form, cap, log_sum_exp, softmax
from ..segments import Segments


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_lengths: Tensor,
    form: Form,
    *,
    with_lse: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """See `kernels.ragged_attention`; segments and new lengths on the CPU."""
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = segments.starts.shape[1]
    shape = n_batch, n_heads, n_query_heads // n_heads, n_queries
    new = new_lengths.tolist()
    real = _Real.of(shape, [n or n_queries for n in new], query.device)
    new = [n for n in new for _ in range(n_heads)]
    chunks = real.split((query.float() * form.scale).reshape(*shape, dim))
    sinks: Sequence[Tensor | None] = [None] * len(chunks)
    if form.sinks is not None:
        sinks = real.split(form.sinks.float().view(1, *shape[1:3], 1).expand(shape))
    hidden = {n: _future(n, shape[2], query.device) for n in {*new} if n > 1}
    outs, sums = list[Tensor](), list[Tensor]()
    for n_new, q, k, v, sink in zip(new, chunks, segments.split(keys), segments.split(values), sinks, strict=True):
        if form.window is not None:
            k, v = (flat[-(form.window + max(n_new, 1) - 1) :] for flat in (k, v))
        if not k.shape[0]:
            outs.append(torch.zeros_like(q))
            if with_lse:
                sums.append(q.new_full(q.shape[:1], float("-inf")) if sink is None else sink)
            continue
        logits = q @ k.float().T
        cap(logits, form.softcap)
        if n_new > 1:  # all that came before the chunk is seen
            logits[:, k.shape[0] - n_new :].masked_fill_(hidden[n_new], float("-inf"))
            _hide_old(logits, n_new, form.window)
        outs.append(softmax(logits, sink) @ v.float())
        if with_lse:
            sums.append(log_sum_exp(logits, sink))
    out = real.join(outs).to(query.dtype).view(n_batch, n_query_heads, n_queries, dim)
    lse = real.join(sums).view(n_batch, n_query_heads, n_queries) if with_lse else None
    return out.transpose(1, 2).contiguous(), lse


@dataclass(frozen=True)
class _Real:
    """The queries that rows have, segment after segment, in a tensor [B, H, G, Q, ...].

    Attributes:
        sizes: Of each segment, in queries of all its G heads.
        n_slots: B * H * G * Q.
        index: int64 [sum of sizes], where they are in the flat tensor; None = every row has Q.
    """

    sizes: list[int]
    n_slots: int
    index: Tensor | None

    @classmethod
    def of(cls, shape: tuple[int, int, int, int], used: Sequence[int], device: torch.device) -> "_Real":
        """The first `used[b]` queries of each row b, in a tensor of shape [B, H, G, Q, ...]."""
        _, n_heads, group, n_queries = shape
        sizes = [group * n for n in used for _ in range(n_heads)]
        if all(n == n_queries for n in used):
            return cls(sizes, prod(shape), None)
        mask = torch.arange(n_queries) < torch.tensor(used).view(-1, 1, 1, 1)
        return cls(sizes, prod(shape), mask.expand(shape).flatten().nonzero()[:, 0].to(device))

    def split(self, values: Tensor) -> Sequence[Tensor]:
        """For each segment [n, ...] of a tensor [B, H, G, Q, ...]."""
        flat = values.flatten(0, 3)
        return (flat if self.index is None else flat[self.index]).split_with_sizes(self.sizes)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """[B * H * G * Q, ...] from a tensor [n, ...] for each segment; the other places hold anything."""
        rows = torch.cat([*parts])
        if self.index is None:
            return rows
        return rows.new_empty(self.n_slots, *rows.shape[1:]).index_copy_(0, self.index, rows)


def _future(n: int, group: int, device: torch.device) -> Tensor:
    """bool [G * n, n]: what each query of a chunk must not see of the chunk."""
    return torch.ones(n, n, dtype=torch.bool, device=device).triu(1).repeat(group, 1)


def _hide_old(logits: Tensor, n_new: int, window: int | None) -> None:
    """Hide from each query of a chunk, [G * n_new, T], the tokens before its window."""
    n_old = logits.shape[1] - (logits.shape[1] if window is None else window)
    if n_old > 0:
        before = torch.ones(n_new, n_old, dtype=torch.bool, device=logits.device).tril(n_old - n_new)
        logits[:, :n_old].masked_fill_(before.repeat(len(logits) // n_new, 1), float("-inf"))
