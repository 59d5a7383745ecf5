"""Which layout is quicker for a batch: one layer of it is tried in each, on a CPU one head of that layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from ...kernels.form import Form
from ...kernels.select import Kept, stack
from ..models.load import LoadedModel
from .clock import now
from .context import Context
from .layouts import RAGGED, SHARED, Layout, ragged

LAYOUTS = (RAGGED, SHARED)
LEAST_SLOTS = 2**15
"""Rows x KV heads x tokens below which a trial costs more than it can save; such a batch is ragged."""
N_STEPS = 4
"""Steps of one token that a trial counts after the question and its drafts. Most answers are drafted."""
CLEAR = 2
"""A layout that is slower by this factor is not tried again."""


@dataclass(frozen=True)
class Measured:
    """A choice between layouts.

    Attributes:
        layout: The quicker one.
        seconds: By name, the seconds of a layer: its store, the question's chunk and a few steps.
    """

    layout: Layout
    seconds: dict[str, float]


@dataclass
class QuickerLayout:
    """Measures each size once: rows, context and chunk up to a factor of two.

    Attributes:
        measured: By size.
    """

    measured: dict[tuple[int, ...], Measured] = field(default_factory=dict)

    def choose(
        self, loaded: LoadedModel, context: Context, kept: Sequence[Sequence[Kept]], n_chunk: int, room: int
    ) -> Measured:
        """The quicker layout for a batch.

        Args:
            loaded: The model.
            context: The full cache.
            kept: What each configuration keeps in each layer.
            n_chunk: Tokens of a row's first pass.
            room: Spare slots of each head.
        """
        if loaded.backend != "torch":  # no other backend computes a shared context
            return Measured(ragged(loaded.backend), {})
        n_slots = len(kept) * loaded.shape.n_kv_heads * context.n_tokens
        if n_slots < LEAST_SLOTS:
            return Measured(RAGGED, {})
        size = tuple(n.bit_length() for n in (len(kept), context.n_tokens, n_chunk))
        if size not in self.measured:
            first = stack([layers[0] for layers in kept])
            trial = partial(_seconds, loaded=loaded, context=context, kept=first, n_chunk=n_chunk, room=room)
            seconds = {layout.name: trial(layout) for layout in LAYOUTS}
            if max(seconds.values()) < CLEAR * min(seconds.values()):
                seconds = {layout.name: min(seconds[layout.name], trial(layout)) for layout in LAYOUTS}
            quickest = min(LAYOUTS, key=lambda layout: seconds[layout.name])
            self.measured[size] = Measured(quickest, {name: round(s, 6) for name, s in seconds.items()})
        return self.measured[size]


@torch.inference_mode()
def _seconds(layout: Layout, loaded: LoadedModel, context: Context, kept: Kept, n_chunk: int, room: int) -> float:
    """Seconds of the first layer. On a CPU one KV head is tried, since time grows with the heads there."""
    keys, values = next(iter(context.layers()))
    n_heads = 1 if keys.device.type == "cpu" else keys.shape[1]
    share = n_heads / keys.shape[1]
    keys, values, n_rows = keys[:, :n_heads], values[:, :n_heads], len(kept.mask)
    if share < 1:
        kept = Kept.of_mask(kept.mask[:, :n_heads])
    n_query_heads = round(loaded.shape.n_query_heads * share)
    began = now(keys.device)
    store = layout.store(keys, values, kept, room)
    for n in (n_chunk, *[1] * N_STEPS):
        lengths = torch.full((n_rows,), n)
        new = keys.new_zeros(n_rows, n_heads, n, keys.shape[3])
        query = keys.new_zeros(n_rows, n_query_heads, n, keys.shape[3])
        store.append(new, new, lengths)
        store.attend(query, lengths, Form(1.0))
    return (now(keys.device) - began) / share
