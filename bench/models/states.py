"""The states of recurrent layers: what linear attention, state space models and short convolutions hold of a sequence,
whatever its length. They stay in transformers' own cache layers, which the models write into."""

from copy import copy
from typing import Any

from torch import Tensor
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionLayer,
)


class StatefulLayer(LinearAttentionAndFullAttentionLayer):
    """A cache layer that attends and has a state, of a layer that does both.

    Args:
        attending: Carries out attention.
        state: Holds the state, and changes with this layer.
    """

    def __init__(self, attending: CacheLayerMixin, state: LinearAttentionLayer) -> None:
        super().__init__(state.number_of_states)
        vars(self).update(vars(state))
        self.attending = attending

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Pass on keys and values."""
        return self.attending.update(key_states, value_states, *args, **kwargs)

    def get_seq_length(self) -> int:
        """Tokens before the chunk."""
        return self.attending.get_seq_length()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length of a mask, its offset)."""
        return self.attending.get_mask_sizes(query_length)


CacheLayer = CacheLayerMixin | LinearAttentionLayer | DummyLayer
"""A cache layer of any layer of a model."""


def with_state(attending: CacheLayerMixin | None, state: LinearAttentionLayer | None) -> CacheLayer:
    """The cache layer of a layer that attends, has a state, does both or neither."""
    if state is None:
        return DummyLayer() if attending is None else attending
    return state if attending is None else StatefulLayer(attending, state)


def take_rows(state: LinearAttentionLayer, rows: Tensor) -> LinearAttentionLayer:
    """A copy of some rows of a state, int64 on the CPU; a row may be taken several times."""
    taken = copy(state)
    for name, held in vars(state).items():
        if isinstance(held, dict):  # by the place of a state in its layer
            own = {place: value[rows] if isinstance(value, Tensor) else value for place, value in held.items()}
            setattr(taken, name, own)
    return taken


def state_bytes(state: Any) -> int:
    """Bytes of a cache layer's states."""
    held = (*state.conv_states.values(), *state.recurrent_states.values())
    return sum(tensor.nbytes for tensor in held if tensor is not None)
