"""What an attention layer does to its logits besides the dot products."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Form:
    """The form of a layer's attention: softmax over `scale * q k`, with the options of a model.

    Attributes:
        scale: Factor on the dot products.
        window: A query sees a token only if it is among the last `window` tokens up to and including the query's own,
            counted in the slots; None = it sees all. A layer with a window holds tokens that follow each other.
        softcap: The scaled logits become `softcap * tanh(logits / softcap)`, before anything is hidden (Gemma 2).
        sinks: [HQ], one more logit for each query head that takes part in the softmax and has no value (gpt-oss).

    Raises:
        ValueError: a window below 1 or a softcap that is not above 0.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"a window of {self.window} tokens; it counts the query's own, so at least 1")
        if self.softcap is not None and not self.softcap > 0:
            raise ValueError(f"a softcap of {self.softcap}; it bounds the logits, so above 0")

    @property
    def options(self) -> tuple[str, ...]:
        """What changes the weights of the tokens that a query sees, besides the scale: "softcap", "sinks"."""
        return ("softcap",) * (self.softcap is not None) + ("sinks",) * (self.sinks is not None)


def cap(logits: Tensor, softcap: float | None) -> None:
    """Cap float32 logits in place."""
    if softcap is not None:
        logits.div_(softcap).tanh_().mul_(softcap)


def softmax(logits: Tensor, sinks: Tensor | None) -> Tensor:
    """The weights over the last dimension; NaN where nothing is seen.

    Args:
        logits: float32 [..., T].
        sinks: float32 [...], another logit that takes its share of each sum; None = there is none.
    """
    weights = torch.softmax(logits, dim=-1)
    if sinks is not None:
        weights *= (logits.logsumexp(dim=-1) - sinks).sigmoid_().unsqueeze(-1)
    return weights


def log_sum_exp(logits: Tensor, sinks: Tensor | None) -> Tensor:
    """The log-sum-exp [...] over the last dimension of logits [..., T] and the sinks [...]."""
    lse = logits.logsumexp(dim=-1)
    return lse if sinks is None else torch.logaddexp(lse, sinks)
