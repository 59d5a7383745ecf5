"""The shared store: a batch of rows over one context that stays whole.

With a keep mask it is the masked store: it hides what an eviction would drop and so is the oracle of the
ragged store; and it is how many configurations, or many questions, decode as one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .shared_attention import shared_attention

Watch = Callable[[Tensor, Tensor], None]
"""Sees (softmax weights of the context, which rows of the first batch they belong to) while they are at hand."""


@dataclass
class SharedStore:
    """One layer's context, seen by every row of a batch, and a tail for each row.

    Attributes:
        keys: [1, H, T, D], the context.
        values: [1, H, T, D].
        keep: bool [B, H, T], what each row sees of it; None = everything.
        tail_keys: [B, H, C, D], each row's own tokens; C grows as needed.
        tail_values: [B, H, C, D].
        tail_lengths: int64 [B] on the CPU.
        rows: int64 [B] on the CPU, the places that the present rows had in the first batch.
        watch: Called after each `attend` with the context's softmax weights float32 [B, H, G, Q, T] and `rows`;
            None = nobody looks, and nothing is kept.
    """

    keys: Tensor
    values: Tensor
    keep: Tensor | None
    tail_keys: Tensor
    tail_values: Tensor
    tail_lengths: Tensor
    rows: Tensor
    watch: Watch | None = None

    @classmethod
    def over(
        cls, keys: Tensor, values: Tensor, rows: int, keep: Tensor | None, room: int, watch: Watch | None = None
    ) -> "SharedStore":
        """A store of `rows` rows over a context, with `room` tail slots to begin with."""
        tail = keys.new_empty(rows, keys.shape[1], room, keys.shape[-1])
        lengths = torch.zeros(rows, dtype=torch.int64)
        return cls(keys, values, keep, tail, torch.empty_like(tail), lengths, torch.arange(rows), watch)

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """Write a chunk behind each row's tail (see `store.KVStore`)."""
        short = int((self.tail_lengths + new_lengths).max()) - self.tail_keys.shape[2]
        if short > 0:
            self._grow(max(short, self.tail_keys.shape[2]))
        real = torch.arange(keys.shape[2]) < new_lengths.unsqueeze(-1)
        row, step = real.nonzero(as_tuple=True)
        column = self.tail_lengths[row] + step
        row, step, column = row.to(keys.device), step.to(keys.device), column.to(keys.device)
        self.tail_keys[row, :, column] = keys[row, :, step]
        self.tail_values[row, :, column] = values[row, :, step]
        self.tail_lengths = self.tail_lengths + new_lengths

    def attend(self, query: Tensor, new_lengths: Tensor, scale: float) -> Tensor:
        """Attend the chunk just appended (see `store.KVStore`)."""
        out, context_weights = shared_attention(
            query,
            self.keys,
            self.values,
            self.keep,
            self.tail_keys,
            self.tail_values,
            self.tail_lengths.to(query.device),
            new_lengths.to(query.device),
            scale,
        )
        if self.watch is not None:
            self.watch(context_weights, self.rows)
        return out

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with some rows alone (see `store.KVStore`); the context is not touched."""
        here = rows.to(self.tail_keys.device)
        if self.keep is not None:
            self.keep = self.keep[here]
        self.tail_keys, self.tail_values = self.tail_keys[here], self.tail_values[here]
        self.tail_lengths, self.rows = self.tail_lengths[rows], self.rows[rows]

    def _grow(self, more: int) -> None:
        n_rows, n_heads, _, dim = self.tail_keys.shape
        spare = self.tail_keys.new_empty(n_rows, n_heads, more, dim)
        self.tail_keys = torch.cat([self.tail_keys, spare], dim=2)
        self.tail_values = torch.cat([self.tail_values, torch.empty_like(spare)], dim=2)
