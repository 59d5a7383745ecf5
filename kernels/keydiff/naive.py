"""KeyDiff's scores in plain torch: the reference for any faster form."""

from torch import Tensor
from torch.nn import functional


def keydiff(keys: Tensor) -> Tensor:
    """float32 [B, H, T] from keys [B, H, T, D]; see `kernels.keydiff`."""
    keys = keys.float()
    anchor = functional.normalize(keys, dim=-1).mean(dim=2, keepdim=True)
    return -functional.cosine_similarity(keys, anchor, dim=-1)
