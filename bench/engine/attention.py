"""The registered attention function: it lets the cache layer attend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...kernels.form import Form
from ..models.shape import Unsupported

NAME = "lukv_bench"
"""Name in transformers' attention and mask registries."""


class AttendingLayer(Protocol):
    """A cache layer whose `update` returned itself in the place of the keys."""

    def attend(self, module: Any, query: Tensor, form: Form) -> Tensor:
        """[B, HQ, Q, D] -> [B, Q, HQ, D]."""


@dataclass(frozen=True)
class PartialMask:
    """A mask other than transformers' causal one, such as a sliding window or chunks.

    Attributes:
        sees: Whether a query attends to a key: takes (batch, head, query position, key position) tensors.
        device: Of the positions.
        n_tokens: Length of its sequence.
    """

    sees: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    device: torch.device
    n_tokens: int

    def is_causal(self, n_tokens: int) -> bool:
        """Whether the last of `n_tokens` tokens attends to all of them and to no later one."""
        first = torch.zeros((), dtype=torch.int64, device=self.device)
        keys = torch.arange(n_tokens + 1, device=self.device)
        attended = self.sees(first, first, first + n_tokens - 1, keys).expand(n_tokens + 1)
        return bool(attended[:-1].all()) and not bool(attended[-1])

    def reach(self, limit: int) -> int:
        """The longest sequence of at most `limit` tokens for which the mask is causal."""
        if self.is_causal(limit):
            return limit
        causal, partial = 0, limit  # bisection between a length that is causal and one that is not
        while partial - causal > 1:
            middle = (causal + partial) // 2
            causal, partial = (middle, partial) if self.is_causal(middle) else (causal, middle)
        return causal


def use_store_attention(model: Any) -> None:
    """Switch a loaded model to store attention.

    Raises:
        Unsupported: its code does not use the attention interface.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _mask)
    ALL_ATTENTION_FUNCTIONS[NAME] = _attend  # libraries wrap registered functions
    model.set_attn_implementation(NAME)
    if model.config.get_text_config(decoder=True)._attn_implementation != NAME:
        raise Unsupported("it does not attend through transformers' attention interface once a layer")


def _mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int,
    *_: Any,
    mask_function: Callable[..., Any],
    device: torch.device,
    **__: Any,
) -> PartialMask | None:
    """transformers' mask signature: None for the causal mask."""
    from transformers.masking_utils import causal_mask_function

    if mask_function is causal_mask_function:
        return None
    return PartialMask(mask_function, device, kv_length)


def _attend(
    module: Any,
    query: Tensor,
    key: AttendingLayer,
    value: AttendingLayer,
    attention_mask: PartialMask | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature; `key` is the cache layer itself (see `cache.StoreLayer.update`).

    Raises:
        Unsupported: the layer does more than causal attention over its own keys and values.
    """
    if softcap is not None:
        raise Unsupported("it caps its attention logits")
    if s_aux is not None:
        raise Unsupported("it has attention sinks")
    if isinstance(attention_mask, PartialMask) and not attention_mask.is_causal(attention_mask.n_tokens):
        raise Unsupported(f"its mask hides some of {attention_mask.n_tokens} tokens, or shows tokens ahead")
    if isinstance(attention_mask, Tensor):
        raise Unsupported("it passes its own mask or bias to attention")
    if isinstance(key, Tensor):
        raise Unsupported("some of its layers attend to keys that are not their own cache's")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return key.attend(module, query, Form(scale)).contiguous(), None
