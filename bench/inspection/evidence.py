"""What one eviction keeps of a text that somebody looks for in the context."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..methods.kept_evidence import Span
from ..reports.layout import wrapped

MOST = 10
"""Places that are drawn; the rest are counted."""


def kept_mask(offsets: NDArray[np.int64], positions: NDArray[np.int64], n_tokens: int) -> NDArray[np.bool_]:
    """bool [heads, T]: whether each head keeps each token."""
    mask = np.zeros((len(offsets) - 1, n_tokens), dtype=np.bool_)
    mask[np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), positions] = True
    return mask


def draw_evidence(mask: NDArray[np.bool_], spans: Sequence[Span], layers: Sequence[int], width: int) -> Iterator[str]:
    """Lines for each span: the share of its tokens that a head keeps, and layer by layer the heads that keep half.

    Args:
        mask: [L * H, T], whether each head keeps each token.
        spans: [start, end) in tokens.
        layers: The number of each layer [L].
        width: Available columns.
    """
    by_layer = mask.reshape(len(layers), -1, mask.shape[1])
    n_heads = by_layer.shape[1]
    yield f"the evidence, at {len(spans)} place{'s' if len(spans) > 1 else ''}"
    for start, end in spans[:MOST]:
        kept = by_layer[:, :, start:end]
        holding = (2 * kept.sum(axis=-1) >= end - start).sum(axis=-1)
        yield (
            f"tokens {start} to {end - 1}: a head keeps {100 * float(kept.mean()):.1f}% of them; "
            f"{int(holding.sum())} of {mask.shape[0]} heads keep at least half"
        )
        counts = [f"layer {layer}: {n}" for layer, n in zip(layers, holding.tolist(), strict=True)]
        yield from (f"  {line}" for line in wrapped([f"of its {n_heads} heads", *counts], max(width - 2, 20)))
    if len(spans) > MOST:
        yield f"... and {len(spans) - MOST} more places"
