"""What an attention weight on a cached token is worth: LU-KV's measure, for its calibration and for oracles."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...kernels.form import Form
from ...kernels.projected_norm import projected_norm
from ..models.shape import Unsupported, output_weights
from .read_layers import ReadLayer


@dataclass(frozen=True)
class SeenLayer(ReadLayer):
    """A layer of a context, as it was read.

    Attributes:
        value_term: float32 [HQ, T], ||W_O v_j|| of each query head, divided by their sum over heads and tokens, which
            makes layers comparable (as in the code of LU-KV's authors).
    """

    value_term: Tensor


@dataclass
class SeenLayers:
    """A prefill observer that records every layer that is evicted; layer 0 begins a new pass."""

    layers: list[SeenLayer] = field(default_factory=list)

    def see(self, index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor, form: Form) -> None:
        """Record a layer, from its query [1, HQ, T, D], keys and values [1, H, T, D].

        Raises:
            Unsupported: its output projection is not one matrix over its heads.
        """
        if index == 0:
            self.layers.clear()
        weight = output_weights(module, query.shape[1], query.shape[3])
        if weight is None:
            raise Unsupported(
                f"the output projection of {module.config.model_type}, which values are weighed by, is not one matrix "
                "over its heads"
            )
        norms = projected_norm(values, weight)[0]
        self.layers.append(SeenLayer(module, form, len(norms), norms / (norms.sum() + 1e-9)))


def importance_of(weights: Tensor, value_term: Tensor) -> Tensor:
    """float32 [B, H, T]: the largest weight that a token gets from some rows, times its value term, over the group.

    Args:
        weights: [B, H, G, Q, T], softmax weights of Q rows.
        value_term: [HQ, T].
    """
    group = value_term.view(weights.shape[1], weights.shape[2], weights.shape[4])
    return (weights.amax(dim=3) * group).amax(dim=2)


class FutureImportance:
    """Records I_(l,h,j) = max over rows and over the GQA group of A_j x ||W_O v_j||, while tokens are fed.

    Args:
        seen: The layers of the context.
        n_kv_heads: H.
        n_before: Rows fed at first that do not count.
    """

    def __init__(self, seen: SeenLayers, n_kv_heads: int, n_before: int) -> None:
        self._terms, self._n_before = [layer.value_term for layer in seen.layers], n_before
        self._n_fed = [0] * len(self._terms)
        self._importance = [term.new_zeros(1, n_kv_heads, term.shape[-1]) for term in self._terms]

    def see(self, index: int, weights: Tensor, _: Tensor) -> None:
        """Record the softmax weights [1, H, G, Q, T] of a layer's next Q rows."""
        n_skipped = max(self._n_before - self._n_fed[index], 0)
        self._n_fed[index] += weights.shape[3]
        if n_skipped < weights.shape[3]:
            own = importance_of(weights[:, :, :, n_skipped:], self._terms[index])
            self._importance[index] = torch.maximum(self._importance[index], own)

    @property
    def importance(self) -> Tensor:
        """float32 [L, 1, H, T] on the device of the first layer."""
        return torch.stack([layer.to(self._importance[0].device) for layer in self._importance])
