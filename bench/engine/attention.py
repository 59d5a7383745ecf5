"""The seam to transformers: the cache layer decides how to attend."""

from typing import Any, Protocol

from torch import Tensor

from ... import UserError

NAME = "lukv_bench"
"""Name in transformers' attention registry."""


class AttendingLayer(Protocol):
    """A cache layer whose `update` returned itself in the place of the keys."""

    def attend(self, module: Any, query: Tensor, scale: float) -> Tensor:
        """[B, HQ, Q, D] -> [B, Q, HQ, D]."""


def use_store_attention(model: Any) -> None:
    """Switch a loaded model to attention that the cache layer carries out."""
    from transformers import AttentionInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, _attend)
    ALL_ATTENTION_FUNCTIONS[NAME] = _attend  # over what a library may have wrapped around every function it found
    model.set_attn_implementation(NAME)


def _attend(
    module: Any,
    query: Tensor,
    key: AttendingLayer,
    value: None,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature; `key` is the cache layer itself (see `cache.StoreLayer.update`).

    Raises:
        UserError: the model caps its attention logits or attends to sinks of its own.
    """
    if softcap is not None or s_aux is not None:
        what = "caps its attention logits" if softcap is not None else "has attention sinks"
        kind = module.config.model_type
        raise UserError(f"{kind} {what}, which is not carried out yet; use a Llama-, Qwen- or Mistral-style model.")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return key.attend(module, query, scale), None
