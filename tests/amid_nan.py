"""Views amid NaN: a read that should not be shows in the result."""

from torch import Tensor


def amid_nan(tensor: Tensor) -> Tensor:
    """The same [B, H, T, D] as a view of a tensor [B, T, H, D], as a model has it, with NaN around every axis."""
    n_batch, n_heads, n_tokens, dim = tensor.shape
    whole = tensor.new_full((n_batch + 1, n_tokens + 3, n_heads + 1, dim + 8), float("nan"))
    view = whole[:n_batch, :n_tokens, :n_heads, :dim].transpose(1, 2)
    view.copy_(tensor)
    return view
