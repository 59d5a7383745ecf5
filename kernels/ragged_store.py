"""The ragged store: what is evicted is gone, and the bytes are those of the kept slots."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .ragged_attention import ragged_attention
from .select import Kept


@dataclass
class RaggedStore:
    """K and V of one layer, flat, one segment per (sequence, KV head), each with room to grow.

    Attributes:
        keys: [S, D].
        values: [S, D].
        starts: int64 [B, H] on the CPU, first row of each segment.
        capacities: int64 [B, H] on the CPU, rows that belong to each segment.
        lengths: int64 [B, H] on the CPU, rows in use.
    """

    keys: Tensor
    values: Tensor
    starts: Tensor
    capacities: Tensor
    lengths: Tensor

    @property
    def kv_bytes(self) -> int:
        """Bytes of the slots in use, read off the tensors themselves."""
        return sum(self.kv_bytes_by_row())

    def kv_bytes_by_row(self) -> list[int]:
        """The same for every row of the batch."""
        used = self.lengths.sum(dim=-1).tolist()
        return [self.keys[:slots].nbytes + self.values[:slots].nbytes for slots in used]

    @property
    def allocated_bytes(self) -> int:
        """Bytes of both tensors, spare room included."""
        return self.keys.nbytes + self.values.nbytes

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """Write a chunk behind each segment (see `store.KVStore`); nothing already stored is copied."""
        if bool((self.lengths + new_lengths.unsqueeze(-1) > self.capacities).any()):
            self._grow(int(new_lengths.max()))
        n_batch, _, n_new, dim = keys.shape
        step = torch.arange(n_new)
        rows = (self.starts + self.lengths).unsqueeze(-1) + step
        if int(new_lengths.min()) == n_new:
            index = rows.reshape(-1).to(self.keys.device)
            self.keys[index] = keys.reshape(-1, dim)
            self.values[index] = values.reshape(-1, dim)
        else:
            real = (step < new_lengths.unsqueeze(-1)).unsqueeze(1).expand_as(rows)
            index, real = rows[real].to(self.keys.device), real.to(keys.device)
            self.keys[index] = keys[real]
            self.values[index] = values[real]
        self.lengths = self.lengths + new_lengths.view(n_batch, 1)

    def attend(self, query: Tensor, new_lengths: Tensor, scale: float) -> Tensor:
        """Attend the chunk just appended (see `store.KVStore`)."""
        return ragged_attention(query, self.keys, self.values, self.starts, self.lengths, new_lengths, scale)

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with some rows alone (see `store.KVStore`); the others' slots stay allocated until the store grows."""
        self.starts, self.capacities, self.lengths = self.starts[rows], self.capacities[rows], self.lengths[rows]

    def _grow(self, needed: int) -> None:
        """Double every segment's capacity, or more where the chunk asks for it."""
        index = _rows(self.starts, self.lengths).to(self.keys.device)
        keys, values = self.keys[index], self.values[index]
        capacities = torch.maximum(2 * self.capacities, self.lengths + needed)
        grown = _empty(keys, values, self.lengths, capacities)
        self.keys, self.values, self.starts, self.capacities = (
            grown.keys,
            grown.values,
            grown.starts,
            grown.capacities,
        )


def compact(keys: Tensor, values: Tensor, kept: Kept, room: int) -> RaggedStore:
    """Copy the kept slots of one layer into a ragged store.

    Args:
        keys: [B, H, T, D], the full cache; the store shares no memory with it. B = 1 serves any number of rows,
            and is not expanded over them.
        values: [B, H, T, D].
        kept: Which positions stay in each row.
        room: Spare rows in each segment for tokens to come.
    """
    n_rows, n_heads, _ = kept.mask.shape
    dim = keys.shape[-1]
    lengths = kept.offsets.diff().view(n_rows, n_heads)
    keys, values = keys.expand(n_rows, -1, -1, -1), values.expand(n_rows, -1, -1, -1)
    return _empty(keys[kept.mask].view(-1, dim), values[kept.mask].view(-1, dim), lengths, lengths + room)


def _empty(keys: Tensor, values: Tensor, lengths: Tensor, capacities: Tensor) -> RaggedStore:
    """A store with the given capacities that holds the rows (given without gaps) of each segment."""
    ends = capacities.reshape(-1).cumsum(0).view_as(capacities)
    starts = ends - capacities
    index = _rows(starts, lengths).to(keys.device)
    flat_keys = keys.new_empty(int(capacities.sum()), keys.shape[-1])
    flat_values = torch.empty_like(flat_keys)
    flat_keys[index] = keys
    flat_values[index] = values
    return RaggedStore(flat_keys, flat_values, starts, capacities, lengths)


def _rows(starts: Tensor, lengths: Tensor) -> Tensor:
    """int64 [sum of lengths]: the flat rows in use, segment after segment."""
    flat = lengths.reshape(-1)
    before = flat.cumsum(0) - flat
    within = torch.arange(int(flat.sum())) - before.repeat_interleave(flat)
    return starts.reshape(-1).repeat_interleave(flat) + within
