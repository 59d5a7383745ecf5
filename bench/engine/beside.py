"""What is held of a context and not evicted: sliding windows and recurrent states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import LinearAttentionLayer

from ...kernels.shared_store import SharedStore
from ...kernels.store import KVStore
from ..models.layers import LayerShape
from ..models.states import state_bytes


@dataclass(frozen=True)
class Window:
    """The last tokens of a context, those that a layer's sliding window shows to the token after them.

    Attributes:
        keys: [1, H, N, D].
        values: [1, H, N, D].
    """

    keys: Tensor
    values: Tensor

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, window: int) -> "Window":
        """The end of a context's keys and values [1, H, T, D], copied where that frees memory."""
        n_hidden = max(keys.shape[2] - (window - 1), 0)
        if not n_hidden:
            return cls(keys, values)
        return cls(*(states[:, :, n_hidden:].clone(memory_format=torch.contiguous_format) for states in (keys, values)))

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values."""
        return self.keys.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Beside:
    """What is held of a context and not evicted. All configurations share it.

    Attributes:
        layers: Every layer of the model, in order; empty where all of them are evicted and hold nothing else.
        windows: By layer with a sliding window the tokens that it shows.
        states: By layer with a recurrent state, evicted or not, the state after the context.
    """

    layers: Sequence[LayerShape] = ()
    windows: Mapping[int, Window] = field(default_factory=dict)
    states: Mapping[int, LinearAttentionLayer] = field(default_factory=dict)

    @classmethod
    def empty(cls, layers: Sequence[LayerShape], windows: Mapping[int, Window] | None = None) -> "Beside":
        """What the layers hold before the first token; `windows` have no tokens."""
        states = {index: LinearAttentionLayer(one.n_states) for index, one in enumerate(layers) if one.n_states}
        return cls(layers, windows or {}, states)

    @property
    def state_bytes(self) -> int:
        """Bytes of all recurrent states."""
        return sum(map(state_bytes, self.states.values()))

    @property
    def nbytes(self) -> int:
        """Bytes of all keys, values and states."""
        return sum(window.nbytes for window in self.windows.values()) + self.state_bytes

    def between(self, evicted: Sequence[KVStore], n_rows: int, room: int) -> list[KVStore | None]:
        """The store of every layer of the model, in order; None for a layer that has none of its own.

        Args:
            evicted: The stores of the layers that are evicted, in order.
            n_rows: Rows of each.
            room: Initial spare slots of a window in each row, for later tokens.
        """
        if not self.layers:
            return [*evicted]
        own = iter(evicted)
        stores: list[KVStore | None] = []
        for index, layer in enumerate(self.layers):
            if layer.kind == "full":
                stores.append(next(own))
            elif layer.kind == "window":
                held = self.windows[index]
                stores.append(SharedStore.over(held.keys, held.values, n_rows, None, room))
            else:
                stores.append(None)
        return stores


ALL_EVICTED = Beside()
"""Of a model all of whose layers are evicted."""
