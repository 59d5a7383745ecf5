"""Norm of the values after the output projection."""

from torch import Tensor

from ..backend import Backend
from .floor import floor_bytes
from .naive import projected_norm as _naive

__all__ = ["floor_bytes", "projected_norm"]


def projected_norm(values: Tensor, output_weight: Tensor, *, backend: Backend = "torch") -> Tensor:
    """The L2 norm that each cached value has after its query head's slice of the output projection.

    Uses v^T (W W^T) v, so that the cost per token is D x D for any hidden size.

    Args:
        values: [B, H, T, D].
        output_weight: [HQ, D, hidden]; row h maps the output of query head h into the residual stream.
        backend: How it is computed; either form is within 1e-5 + 2e-5 x norm of float64.

    Returns:
        float32 [B, HQ, T].
    """
    if backend == "torch":
        return _naive(values, output_weight)
    from .triton import projected_norm as form

    return form(values, output_weight)
