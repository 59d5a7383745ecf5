"""What is remembered of the layers of a context once it was read, so that a held context can be shown to scorers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...kernels.form import Form
from ..models.load import LoadedModel
from .context import Context
from .views import LayerAtHand


@dataclass(frozen=True)
class ReadLayer:
    """A layer of a context, as it was read.

    Attributes:
        module: Its attention module.
        form: What its attention does to the logits.
        n_query_heads: HQ.
    """

    module: Any
    form: Form
    n_query_heads: int


@dataclass
class ReadLayers:
    """A prefill observer that records every layer that is evicted; layer 0 begins a new pass."""

    layers: list[ReadLayer] = field(default_factory=list)

    def see(self, index: int, module: Any, query: Tensor, _keys: Tensor, _values: Tensor, form: Form) -> None:
        """Record a layer, from its query [1, HQ, T, D]."""
        if index == 0:
            self.layers.clear()
        self.layers.append(ReadLayer(module, form, query.shape[1]))


def held_layers(
    loaded: LoadedModel,
    context: Context,
    read: Sequence[ReadLayer],
    *,
    future: Sequence[Tensor] | None = None,
    replay: Sequence[Tensor] | None = None,
) -> Iterator[LayerAtHand]:
    """Every layer of a held context as it was read, but for its queries and its inputs.

    Args:
        loaded: The model.
        context: Held in memory.
        read: Its layers.
        future: Per layer float32 [1, H, T]; a scorer gets a copy.
        replay: Per layer float32 [1, H, T]; a scorer gets a copy.
    """
    for index, ((keys, values), layer) in enumerate(zip(context.layers(), read, strict=True)):
        no_query = keys.new_empty(keys.shape[0], layer.n_query_heads, 0, keys.shape[3])
        own_future, own_replay = (
            None if tensors is None else tensors[index].to(keys.device, copy=True) for tensors in (future, replay)
        )
        yield LayerAtHand(
            loaded.model,
            index,
            layer.module,
            no_query,
            keys,
            values,
            layer.form,
            {},
            backend=loaded.backend,
            future=own_future,
            replay=own_replay,
        )
