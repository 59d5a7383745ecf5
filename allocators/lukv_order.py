"""What LU-KV's hull starts from: the importance of each head's tokens in the order in which they are evicted."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def eviction_order(scores: Tensor, protected: Tensor) -> Tensor:
    """int64 [..., E], places among the E evictable tokens, the first to be evicted first.

    It is the order in which `kernels.select` evicts: among equal scores the later token goes first.

    Args:
        scores: [..., T].
        protected: bool [T].
    """
    return scores[..., ~protected].argsort(dim=-1, descending=True, stable=True).flip(-1)


def losses(importance: Tensor, order: Tensor, protected: Tensor) -> NDArray[np.floating]:
    """[heads, E]: what is lost with each token, in eviction order, heads of all layers in turn.

    Args:
        importance: [L, H, T].
        order: [L, H, E], of `eviction_order`.
        protected: bool [T].
    """
    in_order: NDArray[np.floating] = importance[..., ~protected].gather(-1, order).flatten(0, 1).cpu().numpy()
    return in_order
