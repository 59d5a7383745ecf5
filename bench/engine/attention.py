"""The registered attention function: it lets the cache layer attend."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ...kernels.form import Form
from ..models.shape import Unsupported
from .windows import PartialMask

NAME = "lukv_bench"
"""Name in transformers' attention and mask registries."""


class AttendingLayer(Protocol):
    """A cache layer whose `update` returned itself in the place of the keys.

    Attributes:
        window: Tokens that a query sees, its own included; None = all.
    """

    window: int | None

    def attend(self, module: Any, query: Tensor, form: Form) -> Tensor:
        """[B, HQ, Q, D] -> [B, Q, HQ, D]."""


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
    """transformers' attention signature; `key` is the cache layer itself (see `cache.StoreLayer.update`), the layer's
    own or an earlier one's.

    Raises:
        Unsupported: the layer does more than causal attention over keys and values of a cache.
    """
    if isinstance(attention_mask, Tensor):
        raise Unsupported("it passes its own mask or bias to attention")
    if isinstance(key, Tensor):
        raise Unsupported("some of its layers attend to keys that are not of a cache")
    _check_mask(attention_mask, key.window)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    form = Form(scale, key.window, softcap, s_aux)
    return key.attend(module, query, form).contiguous(), None


def _check_mask(mask: PartialMask | None, window: int | None) -> None:
    """Refuse a mask that is not that of the layer's window.

    Raises:
        Unsupported: it hides other tokens than the window does, or shows tokens ahead.
    """
    if mask is None:
        if window is not None:
            raise Unsupported(f"its mask lacks the window of {window} tokens that it has elsewhere")
    elif not mask.slides(mask.n_tokens, window):
        raise Unsupported(f"its mask hides some of {mask.n_tokens} tokens, or shows tokens ahead")
