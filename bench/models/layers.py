"""What each layer of a decoder keeps of a sequence, and which layers are evicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["full", "window", "borrowed", "none"]
"""What a layer's attention needs of earlier tokens: keys and values of all of them, of those in its sliding window,
those of an earlier layer, or nothing since it does not attend."""


@dataclass(frozen=True)
class LayerShape:
    """What a layer keeps of a sequence.

    Attributes:
        kind: What its attention needs of earlier tokens. Only layers of kind "full" are evicted.
        n_kv_heads: KV heads whose keys and values it keeps; 0 where it keeps none.
        head_dim: Of keys and of values; 0 where it keeps none.
        n_query_heads: 0 where it keeps none.
        window: Tokens that a query sees, its own included; None = all.
        n_states: Recurrent states that it has, beside its attention or in place of it.
        state_bytes: Bytes of these of one sequence, whatever its length.
    """

    kind: Kind
    n_kv_heads: int = 0
    head_dim: int = 0
    n_query_heads: int = 0
    window: int | None = None
    n_states: int = 0
    state_bytes: int = 0

    @property
    def attends(self) -> bool:
        """Whether it has attention of its own, over its own or a borrowed cache."""
        return self.kind != "none"

    def n_held(self, n_tokens: int) -> int:
        """Tokens of a context whose keys and values it keeps when nothing is evicted."""
        if self.kind in ("borrowed", "none"):
            return 0
        return n_tokens if self.window is None else min(n_tokens, self.window - 1)


@dataclass(frozen=True)
class ModelShape:
    """The sizes that determine a decoder's cache.

    Attributes:
        n_layers: L, layers that are evicted: those whose tokens attend to all tokens before them.
        n_kv_heads: H, in each of these layers.
        n_query_heads: HQ, in each of them.
        head_dim: D, in each of them.
        max_positions: Tokens that the model says it can hold.
        layers: Every layer of the model, in order; empty where all of them are evicted and hold nothing else.
    """

    n_layers: int
    n_kv_heads: int
    n_query_heads: int
    head_dim: int
    max_positions: int
    layers: tuple[LayerShape, ...] = ()

    @classmethod
    def of(cls, layers: Sequence[LayerShape], max_positions: int) -> "ModelShape":
        """The shape of a model with these layers, at least one of them of kind "full"."""
        evicted = [layer for layer in layers if layer.kind == "full"]
        first = evicted[0]
        is_plain = first.window is None and not first.n_states and all(layer == first for layer in layers)
        return cls(
            n_layers=len(evicted),
            n_kv_heads=first.n_kv_heads,
            n_query_heads=first.n_query_heads,
            head_dim=first.head_dim,
            max_positions=max_positions,
            layers=() if is_plain else tuple(layers),
        )

    @property
    def every_layer(self) -> tuple[LayerShape, ...]:
        """Every layer of the model, in order."""
        return self.layers or (LayerShape("full", self.n_kv_heads, self.head_dim, self.n_query_heads),) * self.n_layers

    @property
    def evicted(self) -> tuple[int, ...]:
        """Indices in the model of the layers that are evicted, ascending [L]."""
        return tuple(index for index, layer in enumerate(self.every_layer) if layer.kind == "full")

    @property
    def kept_whole(self) -> tuple[int, ...]:
        """Indices in the model of the layers that are not evicted, ascending."""
        return tuple(index for index, layer in enumerate(self.every_layer) if layer.kind != "full")

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """Of each layer with a sliding window the most tokens that it holds, and the numbers in their keys and values
        a token."""
        return tuple(
            (layer.n_held(self.max_positions), 2 * layer.n_kv_heads * layer.head_dim)
            for layer in self.layers
            if layer.kind == "window"
        )

    @property
    def stateful(self) -> tuple[int, ...]:
        """Indices in the model of the layers that have a recurrent state, ascending."""
        return tuple(index for index, layer in enumerate(self.layers) if layer.n_states)

    @property
    def state_bytes(self) -> int:
        """Bytes of the recurrent states of one sequence."""
        return sum(layer.state_bytes for layer in self.layers)

    @property
    def numbers_per_fed(self) -> int:
        """Numbers in the keys and values of a token that is fed after the context: of every layer, since those with a
        sliding window keep such tokens, too."""
        return sum(2 * layer.n_kv_heads * layer.head_dim for layer in self.every_layer)


def layered(config: Any, name: str) -> Any:
    """A setting of a text decoder's configuration: a list of its value in each layer where layers differ in it, None
    where it is missing."""
    if name in (getattr(config, "per_layer_attributes", None) or ()):
        return [getattr(layer, name, None) for layer in config.per_layer_config]
    return getattr(config, name, None)
