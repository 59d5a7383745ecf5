"""The shared store: a batch of rows over one full context.

With a mask it hides what an eviction would drop, which makes it the oracle of the ragged store. Many configurations or
many questions decode over it as one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .flat_kv import FlatKV
from .form import Form
from .positions import Positions, check_held
from .select import Kept
from .shared_attention import shared_attention

Watch = Callable[[Tensor, Tensor], None]
"""Called with (softmax weights of the context and the tails, indices of their rows in the first batch)."""


@dataclass
class SharedStore:
    """One layer's context, attended to by every row of a batch, and a tail for each row.

    Attributes:
        keys: [1, H, T, D], the context.
        values: [1, H, T, D].
        mask: bool [B, H, T], context tokens that each row attends to; None = all.
        tail: Each row's own tokens, level segments.
        base: The positions held when the store was made or last reduced.
        rows: int64 [B] on the CPU, indices of the present rows in the first batch.
        watch: Called after each `attend` with the softmax weights float32 [B, H, G, Q, T + used slots of a tail] and
            `rows`; None = the weights are dropped.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    tail: FlatKV
    base: Positions
    rows: Tensor
    watch: Watch | None = None

    @classmethod
    def over(
        cls, keys: Tensor, values: Tensor, n_rows: int, mask: Tensor | None, room: int, watch: Watch | None = None
    ) -> Self:
        """A store of `n_rows` rows over a context, with initially `room` tail slots."""
        _, n_heads, n_tokens, dim = keys.shape
        no_slots = torch.zeros(n_rows, n_heads, dtype=torch.int64)
        no_tokens = keys.new_empty(0, dim)
        tail = FlatKV.gathered(no_tokens, no_tokens, torch.empty(0), no_slots, no_slots + room, level=True)
        everything = torch.ones(1, dtype=torch.bool, device=keys.device).expand(n_rows, n_heads, n_tokens)
        base = Positions.of_context(everything if mask is None else mask, no_slots)
        return cls(keys, values, mask, tail, base, torch.arange(n_rows), watch)

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """See `store.KVStore`. Full tails grow to at least twice their capacity."""
        self.tail.append(keys, values, new_lengths)

    def attend(self, query: Tensor, new_lengths: Tensor, form: Form) -> Tensor:
        """See `store.KVStore`."""
        out, _, weights = shared_attention(
            query,
            self.keys,
            self.values,
            self.mask,
            self.tail.keys,
            self.tail.values,
            self.tail.segments,
            new_lengths,
            form,
        )
        if self.watch is not None:
            self.watch(weights, self.rows)
        return out

    def keep_rows(self, rows: Tensor) -> None:
        """See `store.KVStore`. The context stays; the other rows' tails and masks are freed."""
        if self.mask is not None:
            self.mask = self.mask[rows.to(self.mask.device)]
        self.tail.keep_rows(rows)
        self.base, self.rows = self.base.take_rows(rows), self.rows[rows]

    def n_appended(self) -> Tensor:
        """See `store.KVStore`."""
        return self.base.appended(self.tail.segments.lengths)

    def take_back(self, n: Tensor) -> None:
        """See `store.KVStore`."""
        self.base.check_taken_back(n, self.tail.segments.lengths)
        self.tail.take_back(n)

    def keep(self, kept: Kept) -> None:
        """See `store.KVStore`. Slots of the context are hidden by the mask and not freed, since other rows share
        them. Tail slots are freed if the longest tail becomes shorter."""
        held, before, n_context = self.positions(), self.tail.segments.lengths, self.keys.shape[2]
        check_held(kept, held)
        self.mask = kept.mask[..., :n_context].clone()
        own = kept.mask[..., n_context:]
        lengths = own.sum(dim=-1).cpu()
        self.tail.keep(own[held.mask[..., n_context:]].cpu(), lengths)
        self.base = self.base.reduced(kept, before, lengths)

    def positions(self) -> Kept:
        """See `store.KVStore`."""
        return self.base.now(self.tail.segments.lengths)

    def kv_bytes_by_row(self) -> list[int]:
        """See `store.KVStore`: the bytes of a ragged store of the same slots. In memory there is only one context."""
        context = self.base.mask[..., : self.keys.shape[2]].sum(dim=(1, 2)).cpu()
        slots = context + self.tail.segments.lengths.sum(dim=-1)
        return [n * self.tail.slot_bytes for n in slots.tolist()]

    @property
    def allocated_bytes(self) -> int:
        """See `store.KVStore`: the whole context once, and all tails."""
        return self.keys.nbytes + self.values.nbytes + self.tail.allocated_bytes


def hide(keys: Tensor, values: Tensor, kept: Kept, room: int) -> SharedStore:
    """A shared store in which each row attends to what it keeps.

    Args:
        keys: [1, H, T, D], the full cache, which is not copied.
        values: [1, H, T, D].
        kept: Which positions stay in each row; on any device.
        room: Initial tail slots of each row.
    """
    return SharedStore.over(keys, values, len(kept.mask), kept.mask.to(keys.device), room)
