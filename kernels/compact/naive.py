"""Compaction in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..segments import Segments
from ..select import Kept


def compact(keys: Tensor, values: Tensor, kept: Kept, segments: Segments) -> tuple[Tensor, Tensor]:
    """Flat keys and values [S, D]; see `kernels.compact`. A slot not in use gets some token of the layer."""
    n_contexts, n_heads = keys.shape[:2]
    lengths, n_rows = segments.lengths, len(segments.lengths)
    rows = torch.arange(n_rows) if n_contexts > 1 else torch.zeros(n_rows, dtype=torch.int64)
    heads = (rows.unsqueeze(-1) * n_heads + torch.arange(n_heads)).flatten().repeat_interleave(lengths.flatten())
    slots, n_slots = segments.slots().to(keys.device), int(segments.capacities.sum())
    heads = heads.to(keys.device)

    def gathered(states: Tensor) -> Tensor:
        if not len(slots):
            return states.new_empty(n_slots, states.shape[-1])
        source = torch.zeros(n_slots, dtype=torch.int64, device=states.device)
        flat, source[slots] = _flat(states, heads, kept.positions)
        return flat.index_select(0, source)

    return gathered(keys), gathered(values)


def _flat(states: Tensor, heads: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """[B, H, T, D] as [B * H * T, D] in the order of the memory, and where in it some tokens are.

    Models make their states token by token: to put them in the order of the heads would take another whole layer.

    Args:
        states: [B, H, T, D].
        heads: int64 [n], head + H x row of each token.
        positions: int64 [n].
    """
    _, n_heads, n_tokens, dim = states.shape
    by_token = states.transpose(1, 2)
    if not by_token.is_contiguous():
        return states.reshape(-1, dim), heads * n_tokens + positions
    row = heads.div(n_heads, rounding_mode="floor")
    return by_token.view(-1, dim), (row * n_tokens + positions) * n_heads + heads - row * n_heads
