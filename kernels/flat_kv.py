"""Flat keys and values in segments that grow."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .append import append
from .backend import Backend
from .mirror import Mirror
from .segments import Segments


@dataclass
class FlatKV:
    """Keys and values in one segment per (row, KV head).

    Attributes:
        keys: [S, D].
        values: [S, D].
        segments: Where each (row, head) lies.
        level: Whether all segments have one capacity C and follow each other, so that [S, D] is also [B, H, C, D].
        backend: How tokens are appended.
        mirror: The segments as kernels read them, beside the keys; None = the backend is torch, which has none.
        least_spare: Every segment has at least so many spare slots.
    """

    keys: Tensor
    values: Tensor
    segments: Segments
    level: bool = False
    backend: Backend = "torch"
    mirror: Mirror | None = field(init=False)
    least_spare: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._reflect()

    @classmethod
    def gathered(
        cls,
        keys: Tensor,
        values: Tensor,
        index: Tensor,
        lengths: Tensor,
        capacities: Tensor,
        level: bool = False,
        backend: Backend = "torch",
    ) -> "FlatKV":
        """Copies tokens into segments, in one pass: a spare slot gets some token too, which nothing reads.

        Args:
            keys: [S, D].
            values: [S, D].
            index: int64 [sum of lengths], the tokens in them, segment after segment without gaps.
            lengths: int64 [B, H] on the CPU.
            capacities: int64 [B, H] on the CPU, at least the lengths; the largest serves all where they are level.
            level: Whether all segments have one capacity.
            backend: How tokens are appended.
        """
        segments = Segments.packed(lengths, capacities.max().expand_as(capacities) if level else capacities)
        n_slots = int(segments.capacities.sum())
        if not len(index):
            shape = n_slots, keys.shape[-1]
            return cls(keys.new_empty(shape), values.new_empty(shape), segments, level, backend)
        source = torch.zeros(n_slots, dtype=torch.int64, device=keys.device)
        source[segments.slots().to(keys.device)] = index.to(keys.device)
        return cls(keys.index_select(0, source), values.index_select(0, source), segments, level, backend)

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
        if keys.shape[2] > self.least_spare:
            self._make_room(new_lengths)
        where, new = self.read(new_lengths)
        append(self.keys, self.values, where, keys, values, new, backend=self.backend)
        self.segments = self.segments.extended(new_lengths)
        self.least_spare -= keys.shape[2]
        if self.mirror is not None:
            self.mirror.extend()

    def _make_room(self, new_lengths: Tensor) -> None:
        """Grow the segments if a chunk does not fit."""
        longer = self.segments.extended(new_lengths)
        if longer.overflow:
            self._move(self.segments.slots(), torch.maximum(2 * self.segments.capacities, longer.lengths))
        self.least_spare = int(self.segments.spare.min())

    def read(self, new_lengths: Tensor) -> tuple[Segments, Tensor]:
        """The segments and a chunk's new lengths, int64 [B] on the CPU, where the backend reads them."""
        if self.mirror is None:
            return self.segments, new_lengths
        return self.mirror.segments, self.mirror.chunk_of(new_lengths)

    def take_back(self, n: Tensor) -> None:
        """Drop the last n[b] tokens of each row, int64 [B] on the CPU, at most their lengths; nothing is copied."""
        self.segments = self.segments.shortened(n)
        if self.mirror is not None:
            self.mirror.set_lengths(self.segments.lengths)

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all rows but these. Level segments are packed again; others stay where they are until they grow."""
        self.segments = self.segments.take_rows(rows)
        if self.level:
            self._move(self.segments.slots(), self.segments.capacities)
        else:
            self._reflect()

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
        lengths, level = self.segments.lengths, self.level
        moved = FlatKV.gathered(self.keys, self.values, slots, lengths, capacities, level, self.backend)
        self.keys, self.values, self.segments, self.mirror = moved.keys, moved.values, moved.segments, moved.mirror
        self.least_spare = 0

    def _reflect(self) -> None:
        """Mirror segments that are new."""
        self.mirror = None if self.backend == "torch" else Mirror.of(self.segments, self.keys.device)
