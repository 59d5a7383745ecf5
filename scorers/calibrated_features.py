"""What calibrated utility sees of a token besides the input of its attention layer."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from ..kernels.backend import Backend
from ..kernels.keydiff import keydiff
from .pooling import pooled

N_SCALARS = 10


def scalar_features(keys: Tensor, values: Tensor, longest: int, *, backend: Backend = "torch") -> Tensor:
    """float32 [B, H, T, 10]: the logarithm of the distance to the end, at most `longest`, and the relative position;
    KeyDiff, its mean over 5 and 21 tokens and its maximum over 7; the norms of key and value; and how far the value is
    from the head's mean value, with its logarithm.

    Args:
        keys: [B, H, T, D], after the rotary embedding.
        values: [B, H, T, D].
        longest: Tokens of the longest text that was learned from.
        backend: How KeyDiff is computed.
    """
    n_tokens = keys.shape[2]
    place = torch.arange(n_tokens, device=keys.device)
    to_end = (n_tokens - place).clamp_max(longest).float().log()
    similarity = keydiff(keys, backend=backend)
    values = values.float()
    apart = (values - values.mean(dim=2, keepdim=True)).norm(dim=-1)
    each = (
        *(one.expand(similarity.shape) for one in (to_end, place / n_tokens)),
        *(similarity, _mean(similarity, 5), _mean(similarity, 21), pooled(similarity, 7, "max")),
        *(keys.float().norm(dim=-1), values.norm(dim=-1), apart, apart.clamp_min(1e-6).log()),
    )
    return torch.stack(each, dim=-1)


def _mean(scores: Tensor, kernel: int) -> Tensor:
    """The mean over the tokens around each, [B, H, T]; at the ends over those that there are."""
    return avg_pool1d(scores, kernel, stride=1, padding=kernel // 2, count_include_pad=False)
