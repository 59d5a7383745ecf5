"""The allocator contract, and the validator of all keep counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ..scorers.base import LayerView, Profile, Reads


class Needs(Enum):
    """The scores that an allocator needs before it can decide.

    One that needs the future, what question and reference answer will attend to, is an oracle: it is ranked nowhere.
    """

    NOTHING = "nothing"
    LAYER_SCORES = "the scores of the layer at hand"
    ALL_SCORES = "the scores of all layers"
    MEASURES = "its own measures of all layers"
    FUTURE = "the scores of all layers and the future"


@dataclass(frozen=True)
class AllocationRequest:
    """A budget to be distributed over the KV heads of some layers.

    Its tensors are read-only, since other allocators use the scores, too. An allocator that writes into them fails and
    is not called again in the run; the others get the original tensors.

    Attributes:
        layers: The layers asked for: all of them, or the one at hand (`Needs.LAYER_SCORES`).
        n_layers: Layers of the model.
        n_batch: Sequences; each has the same budget.
        n_kv_heads: KV heads in a layer.
        n_tokens: Cached tokens T of each sequence.
        budget: Slots to keep in each sequence over the layers asked for, exactly.
        protected: bool [T], tokens that every head keeps, charged inside the budget; on the device of the scores.
        scores: float32 [len(layers), B, H, T] if the allocator needs scores, else None.
        profile: The plugin's profile if it needs one, else None.
        seed: The run's seed, for allocators that draw at random; part of the configuration.
        measures: float32 [len(layers), B, H, n], what the allocator's `measure` gave for each layer, if it needs that,
            else None; on the device of the scores.
        future: float32 [len(layers), B, H, T] if the allocator needs it, else None: see `LayerView.future`; on the
            device of the scores.
    """

    layers: tuple[int, ...]
    n_layers: int
    n_batch: int
    n_kv_heads: int
    n_tokens: int
    budget: int
    protected: Tensor
    scores: Tensor | None = None
    profile: Profile | None = None
    seed: int = 0
    measures: Tensor | None = None
    future: Tensor | None = None

    @property
    def n_protected(self) -> int:
        """Tokens that every head keeps regardless of its share."""
        return int(self.protected.sum())

    @property
    def n_heads(self) -> int:
        """KV heads over all layers asked for."""
        return len(self.layers) * self.n_kv_heads

    @property
    def shape(self) -> tuple[int, int, int]:
        """[len(layers), B, H], the shape of the keep counts."""
        return len(self.layers), self.n_batch, self.n_kv_heads


def one_layer_each(request: AllocationRequest) -> list[AllocationRequest]:
    """A request for each layer, with an equal part of the budget.

    If the budget is not divisible, the first layers get one slot more; the budgets of a run are divisible.
    """
    each, left_over = divmod(request.budget, len(request.layers))
    return [
        replace(
            request,
            layers=(layer,),
            budget=each + (place < left_over),
            scores=None if request.scores is None else request.scores[place : place + 1],
            measures=None if request.measures is None else request.measures[place : place + 1],
            future=None if request.future is None else request.future[place : place + 1],
        )
        for place, layer in enumerate(request.layers)
    ]


class Allocator(Protocol):
    """Decides how many tokens each (layer, KV head) keeps. Touches no cache.

    An allocator is a frozen dataclass of its hyper-parameters. Its first docstring line is what `list` shows. A field
    annotated `Allocator` is another allocator, which the harness builds from its text: `name:field=(inner:key=value)`.

    Attributes:
        source: Where the method was published.
        needs: The scores it needs; a class attribute, or a property if it depends on the hyper-parameters.
    """

    source: ClassVar[str]

    @property
    def needs(self) -> Needs:
        """The scores it needs."""

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H], keep counts that sum to the budget in each sequence."""


class Measuring(Protocol):
    """An allocator that measures each layer while the context is read (`Needs.MEASURES`)."""

    @property
    def reads(self) -> Reads:
        """What it reads of a layer besides keys and values; a class variable or a property. Not the budget."""

    def measure(self, layer: LayerView) -> Tensor:
        """float32 [B, H, n], finite; n is the same for all layers."""


class Selective(Protocol):
    """An allocator that cannot serve every budget, and checks it before a run starts."""

    def check(self, request: AllocationRequest) -> None:
        """Check a request without scores and profile.

        Raises:
            UserError: the method cannot serve this budget.
        """


Note = Mapping[str, Any]
"""An event stored with an answer: JSON values by name, of which "event" names what happened."""


class Noting(Protocol):
    """An allocator that cannot serve every request as its method defines, and reports deviations."""

    def notes(self, request: AllocationRequest, counts: Tensor) -> tuple[Note, ...]:
        """The events to store with the answer; `counts` are the allocator's own, int64 [len(layers), B, H]."""


class Monotone(Protocol):
    """An allocator that declares whether a larger budget never takes a slot from any head.

    This holds for budgets of whole tokens per head, as in runs, over the same scores. Without a declaration an
    allocator is not assumed to be monotone.
    """

    monotone: ClassVar[bool]


class BudgetError(Exception):
    """An allocator's counts violate the budget: the answer fails, others continue."""


class NoteError(Exception):
    """An allocator's notes cannot be stored: the answer fails, others continue."""


def check_counts(counts: Tensor, request: AllocationRequest) -> None:
    """Validate keep counts: shape, dtype, exact sums, no head below the protected tokens or above T.

    Raises:
        BudgetError: they are not valid.
    """
    if tuple(counts.shape) != request.shape:
        raise BudgetError(f"keep counts have shape {tuple(counts.shape)}, not {request.shape}")
    if counts.dtype != torch.int64:
        raise BudgetError(f"keep counts are {counts.dtype}, not torch.int64")
    sums = counts.sum(dim=(0, 2))
    if bool((sums != request.budget).any()):
        raise BudgetError(f"keep counts sum to {sums.tolist()}, not to the budget of {request.budget} slots")
    low, high = int(counts.min()), int(counts.max())
    if low < request.n_protected:
        raise BudgetError(f"a head keeps {low} tokens, fewer than the {request.n_protected} protected ones")
    if high > request.n_tokens:
        raise BudgetError(f"a head keeps {high} tokens of {request.n_tokens}")
