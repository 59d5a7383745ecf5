"""Flat keys and values in segments that grow."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .segments import Segments


@dataclass
class FlatKV:
    """Keys and values in one segment per (row, KV head).

    Attributes:
        keys: [S, D].
        values: [S, D].
        segments: Where each (row, head) lies.
        level: Whether all segments have one capacity C and follow each other, so that [S, D] is also [B, H, C, D].
    """

    keys: Tensor
    values: Tensor
    segments: Segments
    level: bool = False

    @classmethod
    def gathered(
        cls, keys: Tensor, values: Tensor, index: Tensor, lengths: Tensor, capacities: Tensor, level: bool = False
    ) -> "FlatKV":
        """Copies tokens into segments, in one pass: a spare slot gets some token too, which nothing reads.

        Args:
            keys: [S, D].
            values: [S, D].
            index: int64 [sum of lengths], the tokens in them, segment after segment without gaps.
            lengths: int64 [B, H] on the CPU.
            capacities: int64 [B, H] on the CPU, at least the lengths; the largest serves all where they are level.
            level: Whether all segments have one capacity.
        """
        segments = Segments.packed(lengths, capacities.max().expand_as(capacities) if level else capacities)
        n_slots = int(segments.capacities.sum())
        if not len(index):
            return cls(
                keys.new_empty(n_slots, keys.shape[-1]), values.new_empty(n_slots, keys.shape[-1]), segments, level
            )
        source = torch.zeros(n_slots, dtype=torch.int64, device=keys.device)
        source[segments.slots().to(keys.device)] = index.to(keys.device)
        return cls(keys.index_select(0, source), values.index_select(0, source), segments, level)

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot: a key and a value."""
        return self.keys.shape[-1] * (self.keys.itemsize + self.values.itemsize)

    @property
    def allocated_bytes(self) -> int:
        """Bytes of both tensors, spare slots included."""
        return self.keys.nbytes + self.values.nbytes

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """Append a chunk to each segment (see `store.KVStore`); stored tokens are copied only if a segment is full."""
        n_new, dim = keys.shape[2:]
        longer = self.segments.extended(new_lengths)
        if longer.overflow:
            self._move(self.segments.slots(), torch.maximum(2 * self.segments.capacities, longer.lengths))
            longer = self.segments.extended(new_lengths)
        slots = self.segments.next_slots(n_new)
        if int(new_lengths.min()) == n_new:
            index = slots.view(-1).to(self.keys.device)
            self.keys[index] = keys.reshape(-1, dim)
            self.values[index] = values.reshape(-1, dim)
        else:
            real = (torch.arange(n_new) < new_lengths.unsqueeze(-1)).unsqueeze(1).expand_as(slots)
            index, real = slots[real].to(self.keys.device), real.to(keys.device)
            self.keys[index] = keys[real]
            self.values[index] = values[real]
        self.segments = longer

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all rows but these. Level segments are packed again; others stay where they are until they grow."""
        self.segments = self.segments.take_rows(rows)
        if self.level:
            self._move(self.segments.slots(), self.segments.capacities)

    def keep(self, mask: Tensor, lengths: Tensor, room: int | None = None) -> None:
        """Keep some of the slots in use and free the others.

        Args:
            mask: bool [slots in use] on the CPU, segment after segment.
            lengths: int64 [B, H] on the CPU, True entries of each segment.
            room: Spare slots of each segment afterwards; None = those that it has.
        """
        spare = self.segments.spare if room is None else room
        slots = self.segments.slots()[mask]
        self.segments = Segments(self.segments.starts, lengths, lengths + spare)
        self._move(slots, lengths + spare)

    def _move(self, slots: Tensor, capacities: Tensor) -> None:
        """Copy slots, one for each of the segments' lengths, into new tensors of other capacities."""
        moved = FlatKV.gathered(self.keys, self.values, slots, self.segments.lengths, capacities, self.level)
        self.keys, self.values, self.segments = moved.keys, moved.values, moved.segments
