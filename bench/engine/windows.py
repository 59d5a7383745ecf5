"""The sliding windows of a model, read off its own masks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..models.layers import LayerShape, ModelShape
from ..models.shape import Unsupported

LEAST = 3
"""Tokens of the shortest sequence that is worth serving."""


@dataclass(frozen=True)
class PartialMask:
    """A mask other than transformers' causal one, such as a sliding window or chunks.

    Attributes:
        sees: Whether a query attends to a key: takes (batch, head, query position, key position) tensors.
        device: Of the positions.
        n_tokens: Length of its sequence.
    """

    sees: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    device: torch.device
    n_tokens: int
    _known: dict[tuple[int, int | None], bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def slides(self, n_tokens: int, window: int | None) -> bool:
        """Whether the last of `n_tokens` tokens attends to the `window` last ones, its own included, and to no later
        one; None = to all of them. Computed once, since the layers of a pass share their mask."""
        if (n_tokens, window) not in self._known:
            self._known[n_tokens, window] = self._slides(n_tokens, window)
        return self._known[n_tokens, window]

    def _slides(self, n_tokens: int, window: int | None) -> bool:
        first = torch.zeros((), dtype=torch.int64, device=self.device)
        keys = torch.arange(n_tokens + 1, device=self.device)
        try:
            attended = self.sees(first, first, first + n_tokens - 1, keys).expand(n_tokens + 1)
        except IndexError as error:  # it reads a tensor of the present text
            raise Unsupported("its masks depend on the text, and not on positions alone") from error
        hidden = 0 if window is None else max(n_tokens - window, 0)
        return bool(attended[hidden:-1].all()) and not bool(attended[:hidden].any()) and not bool(attended[-1])

    def reach(self, limit: int) -> int:
        """The longest sequence of at most `limit` tokens for which the mask is causal."""
        if self.slides(limit, None):
            return limit
        causal, partial = 0, limit  # bisection between a length that is causal and one that is not
        while partial - causal > 1:
            middle = (causal + partial) // 2
            causal, partial = (middle, partial) if self.slides(middle, None) else (causal, middle)
        return causal

    def is_window(self, window: int, limit: int) -> bool:
        """Whether it is a sliding window in all sequences of at most `limit` tokens; chunks are none."""
        lengths = {window + 1, window + 2, 2 * window, 2 * window + 1, 3 * window + 7, limit - 1, limit}
        return all(self.slides(n, window) for n in lengths if n <= limit)


def with_windows(shape: ModelShape, masks: dict[int, PartialMask]) -> tuple[ModelShape, int]:
    """The shape in which the layers with a sliding window are not evicted, and the reach of the others.

    Where every layer has a window, all are evicted, and the shortest window is the reach.

    Args:
        shape: As read off the model's own cache.
        masks: By index of a layer its mask; layers with the causal one are not in it.

    Raises:
        Unsupported: its layers differ in a way that cannot be evicted.
    """
    limit = shape.max_positions
    reach = {index: mask.reach(limit) for index, mask in masks.items()}
    short = {index: n for index, n in reach.items() if n < limit}
    if short and min(short.values()) < LEAST:
        raise Unsupported(f"its tokens attend to no more than {min(short.values())} tokens")
    windows = {index: n for index, n in short.items() if masks[index].is_window(n, limit)}
    if windows.keys() >= set(shape.evicted):
        windows = {}
    layers = [_windowed(layer, windows.get(index)) for index, layer in enumerate(shape.every_layer)]
    sizes = {(one.n_query_heads, one.n_kv_heads, one.head_dim) for one in layers if one.kind == "full"}
    if len(sizes) > 1:
        different = ", ".join(f"{queries}/{heads} x {dim}" for queries, heads, dim in sorted(sizes))
        raise Unsupported(f"its layers that are evicted differ in query/KV heads x head dim ({different})")
    within = [n for index, n in short.items() if index not in windows]
    return ModelShape.of(layers, limit), min(within, default=limit)


def own_reach(read: ModelShape, shape: ModelShape) -> int:
    """The longest sequence of which the model's own cache drops nothing that its masks show in layers that are evicted;
    Moshi's does.

    Args:
        read: As read off that cache.
        shape: With the windows of the masks.
    """
    windows = [layer.window for layer in read.layers]
    held = [window for index, window in enumerate(windows) if window is not None and index in shape.evicted]
    return min([*held, shape.max_positions])


def _windowed(layer: LayerShape, window: int | None) -> LayerShape:
    return replace(layer, kind="window" if window is not None and layer.kind == "full" else layer.kind, window=window)


@contextmanager
def narrowed(model: Any, window: int) -> Iterator[None]:
    """Shorten the sliding windows of a model whose masks are made from its configuration's `sliding_window`; those of
    another model stay as they are."""
    config = model.config.get_text_config(decoder=True)
    before = getattr(config, "sliding_window", None)
    if not isinstance(before, int):
        yield
        return
    config.sliding_window = window
    try:
        yield
    finally:
        config.sliding_window = before
