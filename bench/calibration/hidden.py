"""Records the attention inputs of a context while it is read."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ..engine.views import watching
from ..models.load import LoadedModel


class HiddenStates:
    """The attention inputs of the layers that are evicted, of the last pass over a context."""

    def __init__(self) -> None:
        self._of: dict[int, Tensor] = {}

    def watching(self, loaded: LoadedModel) -> AbstractContextManager[None]:
        """Record what the attention modules of a model are given until the end of the block."""
        return watching(loaded, self._keep)

    def _keep(self, layer: int, kwargs: dict[str, Any]) -> None:
        self._of[layer] = kwargs["hidden_states"][0].detach().cpu()

    def stacked(self) -> Tensor:
        """[L, T, hidden] in the model's dtype, on the CPU; what was recorded is given up."""
        return torch.stack([self._of.pop(index) for index in sorted(self._of)])
