"""A method's budget over a context of a known length, resolved once."""

from dataclasses import dataclass

from torch import Tensor

from ... import UserError
from ...allocators.base import AllocationRequest, Needs, one_layer_each
from ..models.layers import ModelShape
from .method import Method


@dataclass(frozen=True)
class ResolvedBudget:
    """A method's budget in slots.

    Attributes:
        n_tokens: Tokens T of the context.
        per_head: Slots that a KV head keeps on average.
        slots: Slots kept over all layers and KV heads.
        protected: bool [T] on the CPU, tokens that every head keeps.
    """

    method: Method
    shape: ModelShape
    n_tokens: int
    per_head: int
    slots: int
    protected: Tensor

    def requests(self, seed: int) -> list[AllocationRequest]:
        """The allocator's requests, without scores: one for the whole model, or one per layer if it needs the scores of
        the layer at hand."""
        shape = self.shape
        whole = AllocationRequest(
            layers=tuple(range(shape.n_layers)),
            n_layers=shape.n_layers,
            n_batch=1,
            n_kv_heads=shape.n_kv_heads,
            n_tokens=self.n_tokens,
            budget=self.slots,
            protected=self.protected,
            seed=seed,
        )
        needs: Needs = self.method.allocator.instance.needs
        return one_layer_each(whole) if needs is Needs.LAYER_SCORES else [whole]


def resolve_budget(method: Method, shape: ModelShape, n_tokens: int) -> ResolvedBudget:
    """The method's budget over a context of this length.

    Raises:
        UserError: it keeps fewer tokens than are protected.
    """
    per_head = method.budget.per_head(n_tokens)
    n_protected = min(method.protection.sink + method.protection.window, n_tokens)
    if per_head < max(n_protected, 1):
        raise UserError(
            f"the budget {method.budget} keeps {per_head} of {n_tokens} tokens per head, fewer than the {n_protected} "
            "protected ones (sink + window); keep more, or lower --sink and --window."
        )
    slots = shape.n_layers * shape.n_kv_heads * per_head
    return ResolvedBudget(method, shape, n_tokens, per_head, slots, method.protection.mask(n_tokens))
