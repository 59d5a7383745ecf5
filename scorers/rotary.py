"""The rotary embedding as a linear map on the two halves of the rotated dims."""

import torch
from torch import Tensor


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first dims of [..., D] by (cos, sin) [..., rotated dims]; the rest stays.

    Dim i of the first half of the rotated dims is rotated together with dim i of the second half. With (cos, sin)
    averaged over several positions it is the average of their rotations, since a rotation is linear in both.
    """
    turning, still = heads[..., : cos.shape[-1]], heads[..., cos.shape[-1] :]
    first, second = turning.chunk(2, dim=-1)
    return torch.cat([turning * cos + torch.cat([-second, first], dim=-1) * sin, still], dim=-1)
