"""A scorer's view of a layer: only what the scorer declared, computed when it is called."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...kernels.backend import Backend
from ...kernels.form import Form
from ...scorers.base import LayerView, Reads, Rotary
from ...scorers.rotary import rotate
from ..errors import ViewError
from ..models.load import LoadedModel
from ..models.shape import output_weights
from .rotary import rotary_of

ALLOWED = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference between our rotated query and the model's, per unit of its largest value."""


@dataclass
class LayerInputs:
    """The keyword arguments of the current attention module, from the start of its forward until it is scored."""

    kwargs: dict[str, Any] = field(default_factory=dict)

    def keep(self, _layer: int, kwargs: dict[str, Any]) -> None:
        """Hold the inputs of the module whose forward begins."""
        self.kwargs = kwargs


@contextmanager
def watching(loaded: LoadedModel, keep: Callable[[int, dict[str, Any]], None]) -> Iterator[None]:
    """Until the end of the block, call `keep` with the index and the keyword arguments, `hidden_states` among them, of
    each attention module whose layer is evicted, when its forward begins."""

    def see(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = kwargs if "hidden_states" in kwargs else {"hidden_states": args[0], **kwargs}
        keep(int(attention.layer_idx), named)

    evicted = set(loaded.shape.evicted)
    with ExitStack() as hooks:
        for attention in loaded.attention_modules:
            if int(attention.layer_idx) in evicted:
                hooks.enter_context(attention.register_forward_pre_hook(see, with_kwargs=True))
        yield


def watches(reads: Reads) -> bool:
    """Whether a scorer reads inputs of the attention module."""
    return reads.hidden_states or reads.queries_before_rotary or reads.rotary or reads.module


@dataclass(frozen=True)
class LayerAtHand:
    """A layer during its forward.

    Attributes:
        model: The transformers model.
        index: Its place among the layers that are evicted.
        module: Its attention module.
        query: [B, HQ, T, D], after the rotary embedding.
        keys: [B, H, T, D], after the rotary embedding.
        values: [B, H, T, D].
        form: What its attention does to the logits.
        kwargs: The module's inputs; empty unless a scorer reads them.
        part: (First, all): where only some heads are at hand, the index of the first query head among them, and the
            number of query heads in the layer; None = all are.
        backend: How ops that a scorer calls are computed.
        replay: float32 [B, H, T]; None during the prefill.
        future: float32 [B, H, T]; None during the prefill, when it is not known.
    """

    model: Any
    index: int
    module: Any
    query: Tensor
    keys: Tensor
    values: Tensor
    form: Form
    kwargs: Mapping[str, Any]
    part: tuple[int, int] | None = None
    backend: Backend = "torch"
    future: Tensor | None = None
    replay: Tensor | None = None

    def view(self, reads: Reads, n_kept: int | None, seed: int) -> LayerView:
        """What a scorer sees.

        Raises:
            ViewError: the model does not have what is read, or the budget is read and not given.
        """
        if reads.budget and n_kept is None:
            raise ViewError("the scorer reads the budget, and none was given")
        if reads.replay and self.replay is None:
            raise ViewError("the scorer reads a replay of the context, which is made only once all of it was read")
        if reads.future and self.future is None:
            raise ViewError("the scorer reads the future, which is known only where a reference answer is fed")
        before, rotary = self._before_rotary(reads) if reads.queries_before_rotary or reads.rotary else (None, None)
        last = self.query.shape[2] if reads.queries == "all" else reads.queries
        return LayerView(
            layer=self.index,
            keys=self.keys,
            values=self.values,
            queries=self.query[:, :, -last:] if last else None,
            hidden_states=self.kwargs["hidden_states"] if reads.hidden_states else None,
            queries_before_rotary=before if reads.queries_before_rotary else None,
            rotary=rotary if reads.rotary else None,
            output_weight=self._needed_output_weight() if reads.output_weight else None,
            n_kept=n_kept if reads.budget else None,
            module=self.module if reads.module else None,
            kwargs=dict(self.kwargs) if reads.module else None,
            seed=seed,
            scaling=self.form.scale,
            softcap=self.form.softcap,
            sinks=self.sinks,
            backend=self.backend,
            future=self.future if reads.future else None,
            replay=self.replay if reads.replay else None,
        )

    @property
    def sinks(self) -> Tensor | None:
        """[HQ], the model's own; None where it has none."""
        if self.form.sinks is None or self.part is None:
            return self.form.sinks
        return self.form.sinks[self.part[0] : self.part[0] + self.query.shape[1]]

    @property
    def output_weight(self) -> Tensor | None:
        """[HQ, D, hidden], on the memory of the module's own weight; None where there is no such matrix."""
        n_heads = self.query.shape[1]
        first, n_all = self.part or (0, n_heads)
        weights = output_weights(self.module, n_all, self.values.shape[3])
        return weights if weights is None or self.part is None else weights[first : first + n_heads]

    def _needed_output_weight(self) -> Tensor:
        weight = self.output_weight
        if weight is None:
            raise ViewError(f"the output projection of {self._kind} is not one matrix over its heads")
        return weight

    def _before_rotary(self, reads: Reads) -> tuple[Tensor, Rotary]:
        """The queries before the rotary embedding, [B, HQ, T or 1, D], and the embedding; checked on the last query,
        which it must turn into the one that attended."""
        n_batch, n_heads, _, dim = self.query.shape
        hidden = self.kwargs["hidden_states"]
        projected = _project(self.module, hidden if reads.queries_before_rotary else hidden[:, -1:], n_heads * dim)
        norm: Any = getattr(self.module, "q_norm", torch.nn.Identity())
        if getattr(norm, "weight", projected).shape[-1] == n_heads * dim:  # over all heads at once, as in OLMo 2
            projected, norm = norm(projected), torch.nn.Identity()
        queries: Tensor = norm(projected.view(n_batch, -1, n_heads, dim)).transpose(1, 2)
        for rotary in (rotary_of(self.model, self.module, int(self.module.layer_idx)), partial(_still, dim)):
            if rotary is not None and self._turns_into_attended(queries[:, :, -1], rotary):
                return queries, rotary
        raise ViewError(f"the queries of {self._kind} before the rotary embedding cannot be told from its modules")

    def _turns_into_attended(self, last: Tensor, rotary: Rotary) -> bool:
        """Whether a rotary embedding turns the last query, [B, HQ, D], into the one that attended."""
        attended = self.query[:, :, -1].float()
        try:
            cos, sin = rotary(torch.tensor([self.query.shape[2] - 1], device=last.device))
        except (TypeError, ValueError):  # another signature, or not a cosine and a sine
            return False
        if cos.is_complex() or cos.shape[-1] > last.shape[-1]:
            return False
        rotated = rotate(last.float(), cos, sin)
        return float((rotated - attended).abs().max()) <= ALLOWED[last.dtype] * float(attended.abs().max())

    @property
    def _kind(self) -> str:
        return str(self.module.config.model_type)


def _still(dim: int, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The identity, for layers without a rotary embedding, such as some of SmolLM3 and EXAONE 4."""
    shape = (len(positions), dim)
    return torch.ones(shape, device=positions.device), torch.zeros(shape, device=positions.device)


def _project(module: Any, hidden: Tensor, width: int) -> Tensor:
    """[B, T, HQ x D]: the query projection, which in some models is part of one matrix for queries, keys and values."""
    for name in ("q_proj", "qkv_proj"):
        if hasattr(module, name):
            projected: Tensor = getattr(module, name)(hidden)
            return projected[..., :width]
    raise ViewError(f"{module.config.model_type} has no query projection of its own")
