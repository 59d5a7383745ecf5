"""Records the attention inputs of a context while it is read."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from ..models.load import LoadedModel


class HiddenStates:
    """The attention inputs of the layers that are evicted, of the last pass over a context."""

    def __init__(self) -> None:
        self._of: dict[int, Tensor] = {}

    @contextmanager
    def watching(self, loaded: LoadedModel) -> Iterator[None]:
        """Record what the attention modules of a model are given until the end of the block."""
        evicted = set(loaded.shape.evicted)
        with ExitStack() as hooks:
            for attention in loaded.attention_modules:
                if int(attention.layer_idx) in evicted:
                    hooks.enter_context(attention.register_forward_pre_hook(self._keep, with_kwargs=True))
            yield

    def _keep(self, attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self._of[int(attention.layer_idx)] = hidden[0].detach().cpu()

    def stacked(self) -> Tensor:
        """[L, T, hidden] in the model's dtype, on the CPU; what was recorded is given up."""
        return torch.stack([self._of.pop(index) for index in sorted(self._of)])
