"""How much the last queries of a context attend to the tokens before them."""

from torch import Tensor

from ..backend import Backend
from ..form import Form
from .floor import floor_bytes
from .naive import causal_weights
from .naive import window_attention as _naive

__all__ = ["causal_weights", "floor_bytes", "window_attention"]


def window_attention(queries: Tensor, keys: Tensor, form: Form, *, backend: Backend = "torch") -> Tensor:
    """The mean over the last W queries of their causal softmax weights on the tokens before the window.

    Args:
        queries: [B, HQ, W, D], those of the last W positions, 1 <= W <= T.
        keys: [B, H, T, D].
        form: Scale, softcap and sinks.
        backend: How it is computed; Triton's form is within 1e-6 + 2e-5 x weight of float64, and holds no W x T matrix.

    Returns:
        float32 [B, H, G, T - W].

    Raises:
        ValueError: the form has a window; such a layer holds no whole context.
    """
    if form.window is not None:
        raise ValueError(f"attention with a window of {form.window} tokens has no weights over a whole context")
    if backend == "torch":
        return _naive(queries, keys, form)
    from .triton import window_attention as in_triton

    return in_triton(queries, keys, form)
