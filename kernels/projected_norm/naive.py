"""||W_O v|| without forming W_O v, plain torch."""

import torch
from torch import Tensor


def projected_norm(values: Tensor, output_weight: Tensor) -> Tensor:
    """float32 [B, HQ, T]; see `kernels.projected_norm`."""
    n_heads = values.shape[1]
    group = output_weight.shape[0] // n_heads
    weight = output_weight.float()
    gram = torch.bmm(weight, weight.transpose(1, 2))
    v = values.float().repeat_interleave(group, dim=1)
    squared = ((v @ gram) * v).sum(dim=-1)
    return squared.clamp_min(0).sqrt()
