"""The ragged store: evicted slots are freed, and only the kept slots take memory."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .backend import Backend
from .compact import compact as compact_slots
from .flat_kv import FlatKV
from .form import Form
from .positions import Positions, check_held
from .ragged_attention import ragged_attention
from .ragged_attention.schedule import Schedule
from .segments import Segments
from .select import Kept


@dataclass
class RaggedStore:
    """K and V of one layer, flat, one segment per (row, KV head), each with room to grow.

    Attributes:
        kv: Keys, values and segments.
        base: The positions held when the store was made or last reduced.
        schedule: How programs share the work, where the backend has programs.
    """

    kv: FlatKV
    base: Positions
    schedule: Schedule = field(default_factory=Schedule)

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """See `store.KVStore`. Full segments grow to at least twice their capacity."""
        self.kv.append(keys, values, new_lengths)

    def attend(self, query: Tensor, new_lengths: Tensor, form: Form) -> Tensor:
        """See `store.KVStore`."""
        kv, (segments, new) = self.kv, self.kv.read(new_lengths)
        plan = None
        if kv.mirror is not None:
            n_rows = query.shape[1] // segments.starts.shape[1] * query.shape[2]
            plan = self.schedule.current(kv.segments.lengths, n_rows, kv.keys)
        out, _ = ragged_attention(query, kv.keys, kv.values, segments, new, form, backend=kv.backend, plan=plan)
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
        self.kv.take_back(n)

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

    def copies(self, n_rows: int) -> "RaggedStore":
        """A store of so many rows from a store of one, each with a copy of its own and room as here."""
        segments = self.kv.segments
        rows, of_rows = torch.zeros(n_rows, dtype=torch.int64), (n_rows, 1)
        kv = FlatKV.gathered(
            *(self.kv.keys, self.kv.values, segments.slots().repeat(n_rows)),
            *(segments.lengths.repeat(of_rows), segments.capacities.repeat(of_rows)),
            self.kv.level,
            self.kv.backend,
        )
        return RaggedStore(kv, self.base.take_rows(rows))

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


def compact(keys: Tensor, values: Tensor, kept: Kept, room: int, *, backend: Backend = "torch") -> RaggedStore:
    """Copy the kept slots of one layer into a ragged store.

    Args:
        keys: [B, H, T, D], the full cache; the store shares no memory with it. B = 1 serves any number of rows,
            and is not expanded over them.
        values: [B, H, T, D].
        kept: Which positions stay in each row; on any device.
        room: Spare slots of each segment for later tokens.
        backend: How slots are copied, appended and attended to.
    """
    kept = kept.to(keys.device)
    lengths = kept.counts
    segments = Segments.packed(lengths, lengths + room)
    kv = FlatKV(*compact_slots(keys, values, kept, segments, backend=backend), segments, backend=backend)
    return RaggedStore(kv, Positions.of_context(kept.mask, lengths))
