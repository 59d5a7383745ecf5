"""What a selection keeps of the tokens that the answer stands in."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.select import Kept

Span = tuple[int, int]
"""[start, end) in tokens of a context; start = end where truncation left none of it."""


@dataclass(frozen=True)
class KeptEvidence:
    """What is kept of the evidence, over the layers that are evicted.

    Attributes:
        n_tokens: Tokens of the evidence, those of two spans once.
        kept_share: Share of them that a head keeps, mean over layers and heads; None without tokens.
        half_share: Share of (layer, head) that keep at least half of a span's tokens, mean over spans that have some;
            None without tokens.
        layer_shares: `kept_share` of each layer; empty without tokens.
    """

    n_tokens: int
    kept_share: float | None
    half_share: float | None
    layer_shares: tuple[float, ...]


NONE_KEPT = KeptEvidence(0, None, None, ())
"""Of evidence that is not in the context."""


def kept_evidence(kept: Sequence[Kept], spans: Sequence[Span]) -> KeptEvidence | None:
    """What a selection keeps of some spans; None where there are no spans, and where no layer is
    evicted.

    Args:
        kept: Per layer, of one row.
        spans: Tokens of the context.
    """
    if not spans or not kept:
        return None
    present = [span for span in spans if span[0] < span[1]]
    if not present:
        return NONE_KEPT
    tokens = sorted({token for start, end in present for token in range(start, end)})
    columns = torch.tensor(tokens, dtype=torch.int64)
    layers = [layer.mask[0].index_select(-1, columns.to(layer.mask.device)).cpu() for layer in kept]
    shares = [float(layer.double().mean()) for layer in layers]
    heads = torch.cat(layers)  # [L * H, evidence tokens]
    return KeptEvidence(
        n_tokens=len(tokens),
        kept_share=float(heads.double().mean()),
        half_share=float(_holding_half(heads, columns, present).double().mean()),
        layer_shares=tuple(shares),
    )


def _holding_half(heads: Tensor, columns: Tensor, spans: Sequence[Span]) -> Tensor:
    """bool [spans, heads]: whether a head keeps at least half of a span.

    Args:
        heads: bool [heads, n], whether it keeps each of n tokens.
        columns: int64 [n], these tokens, ascending.
        spans: All of their tokens are among them.
    """
    before = torch.zeros(heads.shape[0], heads.shape[1] + 1, dtype=torch.int64)
    before[:, 1:] = heads.cumsum(-1)
    bounds = torch.tensor(spans, dtype=torch.int64)
    places = torch.searchsorted(columns, bounds)  # [spans, 2]
    n_kept = before[:, places[:, 1]] - before[:, places[:, 0]]
    return (2 * n_kept >= bounds.diff(dim=-1).T).T
