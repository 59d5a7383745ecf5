"""KVzip."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class KVzip:
    """Keeps what the model attends to while it repeats the context.

    score_j = max over the query heads of the group and over all rows of the replay of softmax(q k_j / sqrt(D))

    The replay feeds a request to repeat the context, and then the context itself, over its full cache, in parts of
    2,048 tokens; a row's attention is taken over the first 4 tokens, the part at hand and the replay itself.

    Source: Kim et al., "KVzip: Query-Agnostic KV Cache Compression with Context Reconstruction", arXiv 2505.23416
    (NeurIPS 2025), section 3; as kvpress's KVzipPress, whose parts and requests these are. Its budgets are those of
    `--allocator global` (over the model, the default there) or `adakv:alpha=0` (in each layer).
    Sink 4 and no window, as there. The replay costs about two further prefills, in models with recurrent layers a pass
    for every token, and the full cache is held until it ends: nothing is evicted while the context is read.
    Differs from the paper: the beginning of the chat template is not repeated, and is evicted first, as in kvpress; the
    rows of the replay continue the context's positions, beyond those that the model was trained for where it is long,
    and are rotated as the context was.
    """

    source: ClassVar[str] = "arXiv 2505.23416 (NeurIPS 2025)"
    reads: ClassVar[Reads] = Reads(replay=True)
    protection: ClassVar[Protection] = Protection(sink=4, window=0)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], in [0, 1]."""
        if layer.replay is None:
            raise ValueError("KVzip was given no replay")
        return layer.replay
