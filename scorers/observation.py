"""What the last queries of a context attend to, and the outputs that this gives."""

from dataclasses import dataclass

from torch import Tensor

from .attention import attention
from .base import LayerView


@dataclass(frozen=True)
class Observation:
    """The attention of the last W queries of a layer.

    Attributes:
        weights: float32 [B, H, G, W, T], causal; 0 where a query does not see.
        queries: [B, HQ, W, D].
        values: [B, H, T, D].
    """

    weights: Tensor
    queries: Tensor
    values: Tensor

    @property
    def n_before(self) -> int:
        """Tokens before the first of the queries."""
        return self.weights.shape[4] - self.weights.shape[3]

    def squared_distances(self) -> Tensor:
        """||v_j - o_i||^2 of each value and each query's output o_i, float64 [B, H, G, W, T].

        In float64, since the distance is small where a query attends to one token alone, and DropKV multiplies it by a
        large factor there.
        """
        values = self.values.double().unsqueeze(2)  # [B, H, 1, T, D]
        outputs = self.weights.double() @ values  # [B, H, G, W, D]
        products = outputs @ values.transpose(3, 4)
        lengths = values.square().sum(dim=-1).unsqueeze(3) + outputs.square().sum(dim=-1, keepdim=True)
        return (lengths - 2 * products).clamp_min_(0)


def observe(layer: LayerView, window: int) -> Observation:
    """The attention of the last `window` queries, of all in a shorter context.

    Raises:
        ValueError: the view has no queries.
    """
    if layer.queries is None:
        raise ValueError("the scorer was given no queries")
    queries = layer.queries[:, :, -window:]
    return Observation(attention(layer, queries, layer.keys.shape[2]), queries, layer.values)
