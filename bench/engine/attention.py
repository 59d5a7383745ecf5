"""The seam to transformers: the cache layer decides how to attend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..models.shape import Unsupported

NAME = "lukv_bench"
"""Name in transformers' attention and mask registries."""


class AttendingLayer(Protocol):
    """A cache layer whose `update` returned itself in the place of the keys."""

    def attend(self, module: Any, query: Tensor, scale: float) -> Tensor:
        """[B, HQ, Q, D] -> [B, Q, HQ, D]."""


@dataclass(frozen=True)
class PartialMask:
    """A mask of transformers that is not causal by name: a sliding window, a chunk.

    Attributes:
        sees: Whether a query sees a key, from (batch, head, query position, key position), broadcast over tensors.
        device: Where the positions lie.
        n_tokens: Length of the sequence that it was made for.
    """

    sees: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    device: torch.device
    n_tokens: int

    def is_causal(self, n_tokens: int) -> bool:
        """Whether the last of so many tokens sees every one before it, and none after."""
        first = torch.zeros((), dtype=torch.int64, device=self.device)
        keys = torch.arange(n_tokens + 1, device=self.device)
        seen = self.sees(first, first, first + n_tokens - 1, keys).expand(n_tokens + 1)
        return bool(seen[:-1].all()) and not bool(seen[-1])

    def reach(self, limit: int) -> int:
        """The longest sequence, of at most `limit` tokens, that the mask leaves simply causal."""
        if self.is_causal(limit):
            return limit
        shortest, longest = 0, limit  # is_causal holds at the first and not at the second
        while longest - shortest > 1:
            middle = (shortest + longest) // 2
            shortest, longest = (middle, longest) if self.is_causal(middle) else (shortest, middle)
        return shortest


def use_store_attention(model: Any) -> None:
    """Switch a loaded model to attention that the cache layer carries out.

    Raises:
        Unsupported: its code attends in a way that cannot be switched.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _mask)
    ALL_ATTENTION_FUNCTIONS[NAME] = _attend  # over what a library may have wrapped around every function it found
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
    """transformers' mask signature: None for the causal mask, which store attention does not need."""
    from transformers.masking_utils import causal_mask_function

    if mask_function is causal_mask_function:
        return None
    return PartialMask(mask_function, device, q_offset + q_length)


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
        Unsupported: the layer does more than attend causally to its keys and values.
    """
    if softcap is not None:
        raise Unsupported("it caps its attention logits")
    if s_aux is not None:
        raise Unsupported("it has attention sinks")
    if isinstance(attention_mask, PartialMask) and not attention_mask.is_causal(attention_mask.n_tokens):
        raise Unsupported(f"its mask hides some of {attention_mask.n_tokens} tokens, or shows tokens ahead")
    if isinstance(attention_mask, Tensor):
        raise Unsupported("it hands attention a mask or bias of its own")
    if isinstance(key, Tensor):
        raise Unsupported("some of its layers attend to keys that are not their own cache's")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return key.attend(module, query, scale).contiguous(), None
