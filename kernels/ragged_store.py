"""The ragged store: evicted slots are freed, and only the kept slots take memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .flat_kv import FlatKV
from .form import Form
from .positions import Positions, check_held
from .ragged_attention import ragged_attention
from .select import Kept


@dataclass
class RaggedStore:
    """K and V of one layer, flat, one segment per (row, KV head), each with room to grow.

    Attributes:
        kv: Keys, values and segments.
        base: The positions held when the store was made or last reduced.
    """

    kv: FlatKV
    base: Positions

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """See `store.KVStore`. Full segments grow to at least twice their capacity."""
        self.kv.append(keys, values, new_lengths)

    def attend(self, query: Tensor, new_lengths: Tensor, form: Form) -> Tensor:
        """See `store.KVStore`."""
        out, _ = ragged_attention(query, self.kv.keys, self.kv.values, self.kv.segments, new_lengths, form)
        return out

    def keep_rows(self, rows: Tensor) -> None:
        """See `store.KVStore`. The other rows' slots stay allocated until the store grows or is reduced."""
        self.kv.keep_rows(rows)
        self.base = self.base.take_rows(rows)

    def n_appended(self) -> Tensor:
        """See `store.KVStore`."""
        return self.base.appended(self.kv.segments.lengths)

    def take_back(self, n: Tensor) -> None:
        """See `store.KVStore`."""
        self.base.check_taken_back(n, self.kv.segments.lengths)
        self.kv.segments = self.kv.segments.shortened(n)

    def keep(self, kept: Kept, room: int | None = None) -> None:
        """See `store.KVStore`. The bytes of all other slots are freed; each segment has `room` spare slots afterwards,
        or those that it had."""
        held, before = self.positions(), self.kv.segments.lengths
        check_held(kept, held)
        self.kv.keep(kept.mask[held.mask].cpu(), kept.counts, room)
        self.base = self.base.reduced(kept, before, kept.counts)

    def positions(self) -> Kept:
        """See `store.KVStore`."""
        return self.base.now(self.kv.segments.lengths)

    def by_head(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [n, D] that each (row, KV head) holds, views."""
        segments = self.kv.segments
        return list(zip(segments.split(self.kv.keys), segments.split(self.kv.values), strict=True))

    def kv_bytes_by_row(self) -> list[int]:
        """See `store.KVStore`."""
        return [slots * self.kv.slot_bytes for slots in self.kv.segments.lengths.sum(dim=-1).tolist()]

    @property
    def allocated_bytes(self) -> int:
        """See `store.KVStore`."""
        return self.kv.allocated_bytes


def compact(keys: Tensor, values: Tensor, kept: Kept, room: int) -> RaggedStore:
    """Copy the kept slots of one layer into a ragged store.

    Args:
        keys: [B, H, T, D], the full cache; the store shares no memory with it. B = 1 serves any number of rows,
            and is not expanded over them.
        values: [B, H, T, D].
        kept: Which positions stay in each row; on any device.
        room: Spare slots of each segment for later tokens.
    """
    kept = kept.to(keys.device)
    lengths, (n_contexts, n_heads, n_tokens, dim) = kept.counts, keys.shape
    rows = torch.arange(len(lengths)) if n_contexts > 1 else torch.zeros(len(lengths), dtype=torch.int64)
    heads = (rows.unsqueeze(-1) * n_heads + torch.arange(n_heads)).flatten().repeat_interleave(lengths.flatten())
    index = heads.to(keys.device) * n_tokens + kept.positions
    kv = FlatKV.gathered(keys.reshape(-1, dim), values.reshape(-1, dim), index, lengths, lengths + room)
    return RaggedStore(kv, Positions.of_context(kept.mask, lengths))
