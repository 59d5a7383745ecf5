"""An allocator's measures, made during a pass as a table beside those of the scorers."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...scorers.base import LayerView, Protection, Reads


@dataclass(frozen=True)
class Gauge:
    """An allocator that measures, in the place of a scorer.

    Attributes:
        plugin: The allocator's instance.
    """

    plugin: Any
    source: ClassVar[str] = ""
    protection: ClassVar[Protection] = Protection(0, 0)

    @property
    def reads(self) -> Reads:
        """What the allocator reads."""
        reads: Reads = self.plugin.reads
        return reads

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, n], the allocator's measures."""
        measures: Tensor = self.plugin.measure(layer)
        return measures
