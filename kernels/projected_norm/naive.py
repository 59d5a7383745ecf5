"""||W_O v|| without forming W_O v, plain torch."""

import torch
from torch import Tensor


def projected_norm(values: Tensor, output_weight: Tensor) -> Tensor:
    """The L2 norm that each cached value has after its query head's slice of the output projection.

    Uses v^T (W W^T) v, so that the cost per token is D x D for any hidden size.

    Args:
        values: [B, H, T, D].
        output_weight: [HQ, D, hidden]; row h maps the output of query head h into the residual stream.

    Returns:
        float32 [B, HQ, T].
    """
    n_heads = values.shape[1]
    group = output_weight.shape[0] // n_heads
    weight = output_weight.float()
    gram = torch.bmm(weight, weight.transpose(1, 2))
    v = values.float().repeat_interleave(group, dim=1)
    squared = ((v @ gram) * v).sum(dim=-1)
    return squared.clamp_min(0).sqrt()
