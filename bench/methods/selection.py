"""What a method keeps of a context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import torch

from ...kernels.select import Kept
from .events import Event


@dataclass(frozen=True)
class Selection:
    """What a method keeps of a context.

    Attributes:
        kept: Per layer.
        events: Stored with the answer.
        seconds: Wall seconds of scoring, allocating and selecting.
        allocate_s: Those of the allocator's own code.
    """

    kept: Sequence[Kept]
    events: Sequence[Event]
    seconds: float
    allocate_s: float = 0.0

    @property
    def keep_counts(self) -> tuple[tuple[int, ...], ...]:
        """Per layer the slots kept in each KV head."""
        return tuple(tuple(layer.counts[0].tolist()) for layer in self.kept)

    @property
    def kept_hash(self) -> str:
        """A hash of the positions kept in every head: equal ones keep the same of a context."""
        digest = sha256()
        for layer in self.kept:
            digest.update(layer.offsets.numpy().astype("<i8").tobytes())
            digest.update(layer.positions.to(torch.int32).cpu().numpy().astype("<i4").tobytes())
        return digest.hexdigest()

    def with_event(self, event: Event) -> "Selection":
        """A copy with one more event."""
        return replace(self, events=(*self.events, event))
