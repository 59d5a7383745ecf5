"""What a scorer sees of the layer at hand: only what it declared, computed when it is its turn."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...scorers.base import LayerView, Reads, Rotary
from ...scorers.rotary import rotate

ALLOWED = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference between our rotated query and the model's, per unit of its largest value."""


class ViewError(Exception):
    """The model does not have what a scorer asks to see, or not where it is looked for."""


@dataclass
class LayerInputs:
    """The keyword arguments of the attention module at hand, from the beginning of its forward until it was scored."""

    kwargs: dict[str, Any] = field(default_factory=dict)

    def watch(self, attention: Any) -> Any:
        """Watch an attention module; the handle removes the hook when it closes."""

        def keep(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.kwargs = kwargs if "hidden_states" in kwargs else {"hidden_states": args[0], **kwargs}

        return attention.register_forward_pre_hook(keep, with_kwargs=True)


def watches(reads: Reads) -> bool:
    """Whether a scorer sees anything of what enters the attention module."""
    return reads.hidden_states or reads.queries_before_rotary or reads.module


@dataclass(frozen=True)
class LayerAtHand:
    """A layer during its forward.

    Attributes:
        index: Of the layer.
        module: Its attention module.
        query: [B, HQ, T, D], after the rotary embedding.
        keys: [B, H, T, D], after the rotary embedding.
        values: [B, H, T, D].
        kwargs: What entered the module; empty unless a scorer sees it.
    """

    index: int
    module: Any
    query: Tensor
    keys: Tensor
    values: Tensor
    kwargs: Mapping[str, Any]

    def view(self, reads: Reads, rotary: Rotary | None, n_kept: int | None, seed: int) -> LayerView:
        """What a scorer sees.

        Raises:
            ViewError: the model has no such thing, or the budget is read and was not given.
        """
        if reads.rotary and rotary is None:
            raise ViewError("the model has no single rotary embedding of its positions")
        if reads.budget and n_kept is None:
            raise ViewError("the scorer reads the budget, and none was given")
        last = self.query.shape[2] if reads.queries == "all" else reads.queries
        return LayerView(
            layer=self.index,
            keys=self.keys,
            values=self.values,
            queries=self.query[:, :, -last:] if last else None,
            hidden_states=self.kwargs["hidden_states"] if reads.hidden_states else None,
            queries_before_rotary=self._queries_before_rotary() if reads.queries_before_rotary else None,
            rotary=rotary if reads.rotary else None,
            output_weight=self._output_weight() if reads.output_weight else None,
            n_kept=n_kept if reads.budget else None,
            module=self.module if reads.module else None,
            kwargs=self.kwargs if reads.module else None,
            seed=seed,
            scaling=getattr(self.module, "scaling", None),
        )

    def _output_weight(self) -> Tensor:
        """[HQ, D, hidden]."""
        weight: Tensor = self.module.o_proj.weight
        return weight.T.reshape(self.query.shape[1], self.query.shape[3], -1)

    def _queries_before_rotary(self) -> Tensor:
        """[B, HQ, T, D], proven to be the model's own: rotated, its last one is the query that attended."""
        n_batch, n_heads, n_tokens, dim = self.query.shape
        projected = _project(self.module, self.kwargs["hidden_states"], n_heads * dim)
        norm: Any = getattr(self.module, "q_norm", torch.nn.Identity())
        if getattr(norm, "weight", projected).shape[-1] == n_heads * dim:  # over all heads at once, as in OLMo 2
            projected, norm = norm(projected), torch.nn.Identity()
        queries: Tensor = norm(projected.view(n_batch, n_tokens, n_heads, dim)).transpose(1, 2)
        cos, sin = self.kwargs["position_embeddings"]
        rotated = rotate(queries[:, :, -1].float(), cos[:, -1:].float(), sin[:, -1:].float())
        attended = self.query[:, :, -1].float()
        if not float((rotated - attended).abs().max()) <= ALLOWED[queries.dtype] * float(attended.abs().max()):
            kind = self.module.config.model_type
            raise ViewError(f"the queries of {kind} before the rotary embedding cannot be told from its modules")
        return queries


def _project(module: Any, hidden: Tensor, width: int) -> Tensor:
    """[B, T, HQ x D]: the query projection, which some models keep in one matrix with that of keys and values."""
    for name in ("q_proj", "qkv_proj"):
        if hasattr(module, name):
            projected: Tensor = getattr(module, name)(hidden)
            return projected[..., :width]
    raise ViewError(f"{module.config.model_type} has no query projection of its own")


def rotary_of(model: Any) -> Rotary | None:
    """The model's rotary embedding of any positions, None where it has not exactly one.

    A copy of its module, since some kinds adapt themselves to the longest position that they were asked for.
    """
    found = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "rotary_emb"]
    if len(found) != 1:
        return None
    own = copy.deepcopy(found[0])

    def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = own(torch.zeros(1, device=positions.device), positions.unsqueeze(0))
        return cos[0], sin[0]

    return rotary
