"""Records the oracle importance of cached tokens while the model answers."""

from typing import Any

import torch
from torch import Tensor

from ... import UserError
from ...kernels.form import Form
from ...kernels.projected_norm import projected_norm
from ..models.shape import output_weights


class Oracle:
    """Records I_{l,h,j} = max over decode steps and over the GQA group of A_j x ||W_O v_j||.

    Source: LU-KV, arXiv 2602.08585, section 3. As in the authors' code, the value term is divided by its sum
    over the query heads and tokens of the layer, which makes layers comparable, and only single-token decode
    steps count, so the question's own attention does not.
    """

    def __init__(self) -> None:
        self._value_terms: list[Tensor] = []
        self._importance: list[Tensor] = []

    def see_context(self, index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor, _: Form) -> None:
        """Prefill observer: record the layer's value term, float32 [HQ, T]; layer 0 begins a new pass."""
        if index == 0:
            self._value_terms.clear()
        weight = output_weights(module, query.shape[1], query.shape[3])
        if weight is None:
            raise UserError(
                f"calibration weighs values by the output projection, and that of {module.config.model_type} is not "
                "one matrix over its heads; use another model."
            )
        norms = projected_norm(values, weight)[0]
        self._value_terms.append(norms / (norms.sum() + 1e-9))

    def begin(self, questions: int, n_kv_heads: int) -> None:
        """Begin to record the answers to a number of questions about the last context."""
        self._importance = [term.new_zeros(questions, n_kv_heads, term.shape[-1]) for term in self._value_terms]

    def see_step(self, index: int, weights: Tensor, rows: Tensor, first: int = 0) -> None:
        """Record a layer's softmax weights [B, H, G, Q, T] of the questions `rows`, counted from the question `first`;
        only single-token steps count."""
        if weights.shape[3] != 1:
            return
        importance, rows = self._importance[index], rows.to(weights.device) + first
        value_term = self._value_terms[index].view(importance.shape[1], -1, importance.shape[2])
        weighed = (weights[:, :, :, 0] * value_term).amax(dim=2)
        importance[rows] = torch.maximum(importance[rows], weighed)

    @property
    def importance(self) -> Tensor:
        """float32 [questions, L, H, T] on the CPU."""
        return torch.stack([layer.cpu() for layer in self._importance], dim=1)
