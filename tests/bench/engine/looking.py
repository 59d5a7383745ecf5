"""A scorer that looks at what it is shown."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection, Reads


@dataclass(frozen=True)
class Looking:
    """A scorer that remembers what it was shown."""

    source: ClassVar[str] = "tests"
    protection: ClassVar[Protection] = Protection(0, 0)
    reads: Reads
    views: list[LayerView] = field(default_factory=list)

    def score(self, layer: LayerView) -> Tensor:
        self.views.append(layer)
        return layer.keys[..., 0].float()
