"""OBCache."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from .attention import on_top
from .base import LayerView, Protection, Reads
from .observation import Observation, observe
from .pooling import check_sizes, pooled


@dataclass(frozen=True)
class OBCache:
    """Keeps the tokens whose pruning would change the outputs of the context's last queries most, to second order.

    With p the attention weights, z_ij the logits, o_i = sum_j p_ij v_j, a token's score is the sum over the last w
    queries i and over the group of

        value: p_ij^2 ||v_j||^2
        key:   p_ij^2 z_ij^2 ||v_j - o_i||^2
        joint: p_ij^2 ||v_j + z_ij (v_j - o_i)||^2

    which are the second-order terms of sum_i ||change of o_i||^2 when v_j, k_j or both become 0 (Optimal Brain Damage).
    The largest score of `kernel` neighbours counts; the window is ranked first.

    Source: Gu, Liang, Zhao, Diao, "OBCache", arXiv 2510.07651, equations 4 to 6, in SnapKV's place with its settings
    there (16 queries, max pooling over 7); heads of a group are added up (appendix B.5). The authors combine the key
    form with AdaKV: `--allocator adakv --scorer obcache`.
    Sink 4 and a protected window as long as the observation window, as SnapKV.
    Differs from the paper: the authors' repository combines the heads of a group before it squares, which is another
    score. In a model with a softcap z is the logit before it, and the cap is not differentiated.

    Attributes:
        form: value, key or joint.
        window: Number of last queries that are used.
        kernel: Tokens that are pooled together, odd.
        pool: max or avg.
    """

    form: Literal["value", "key", "joint"] = "key"
    window: int = 16
    kernel: int = 7
    pool: Literal["max", "avg"] = "max"

    source: ClassVar[str] = "arXiv 2510.07651"

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        check_sizes(self.window, self.kernel)

    @property
    def reads(self) -> Reads:
        """The window's queries."""
        return Reads(queries=self.window)

    @property
    def protection(self) -> Protection:
        """Sink 4 and the observation window."""
        return Protection(sink=4, window=self.window)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], at least 0."""
        seen = observe(layer, self.window)
        change = seen.weights.double().square() * self._lengths(layer, seen)
        before = change[..., : seen.n_before].sum(dim=(2, 3)).float()
        return on_top(pooled(before, self.kernel, self.pool), before=0, after=seen.weights.shape[3])

    def _lengths(self, layer: LayerView, seen: Observation) -> Tensor:
        """The factor on p^2, float64, as [B, H, G, W, T]."""
        values = seen.values.double()
        own = values.square().sum(dim=-1)[:, :, None, None]
        if self.form == "value":
            return own
        n_batch, n_heads, n_group, n_queries, n_tokens = seen.weights.shape
        queries = seen.queries.double().reshape(n_batch, n_heads, -1, seen.queries.shape[-1])
        logits = (queries @ layer.keys.double().transpose(2, 3) * layer.scale).view(
            n_batch, n_heads, n_group, n_queries, n_tokens
        )
        distances = seen.squared_distances()
        if self.form == "key":
            return logits.square_() * distances
        # ||v + z (v - o)||^2 with 2 v.(v - o) = ||v||^2 + ||v - o||^2 - ||o||^2
        outputs = (seen.weights.double() @ values.unsqueeze(2)).square().sum(dim=-1, keepdim=True)
        return (own + logits * (own + distances - outputs) + logits.square() * distances).clamp_min_(0)
