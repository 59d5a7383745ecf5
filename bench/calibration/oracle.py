"""Records the oracle importance of cached tokens while the model answers."""

from typing import Any

import torch
from torch import Tensor

from ... import UserError
from ...kernels.form import Form
from ..engine.importance import SeenLayers, importance_of
from ..models.shape import Unsupported


class Oracle:
    """Records I_{l,h,j} = max over decode steps and over the GQA group of A_j x ||W_O v_j||.

    Source: LU-KV, arXiv 2602.08585, section 3. As in the authors' code, the value term is divided by its sum
    over the query heads and tokens of the layer, which makes layers comparable, and only single-token decode
    steps count, so the question's own attention does not.

    Attributes:
        seen: The layers of the last context.
    """

    def __init__(self) -> None:
        self.seen = SeenLayers()
        self._importance: list[Tensor] = []

    def see_context(self, index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor, form: Form) -> None:
        """Prefill observer: record the layer's value term; layer 0 begins a new pass."""
        try:
            self.seen.see(index, module, query, keys, values, form)
        except Unsupported as error:
            raise UserError(f"calibration cannot measure importance: {error}; use another model.") from error

    def begin(self, questions: int, n_kv_heads: int) -> None:
        """Begin to record the answers to a number of questions about the last context."""
        terms = [layer.value_term for layer in self.seen.layers]
        self._importance = [term.new_zeros(questions, n_kv_heads, term.shape[-1]) for term in terms]

    def see_step(self, index: int, weights: Tensor, rows: Tensor, first: int = 0) -> None:
        """Record a layer's softmax weights [B, H, G, Q, T] of the questions `rows`, counted from the question `first`;
        only single-token steps count."""
        if weights.shape[3] != 1:
            return
        importance, rows = self._importance[index], rows.to(weights.device) + first
        own = importance_of(weights, self.seen.layers[index].value_term)
        importance[rows] = torch.maximum(importance[rows], own)

    @property
    def importance(self) -> Tensor:
        """float32 [questions, L, H, T] on the CPU."""
        return torch.stack([layer.cpu() for layer in self._importance], dim=1)
