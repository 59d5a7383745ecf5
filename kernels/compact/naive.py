"""Compaction in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..flat_kv import FlatKV
from ..segments import Segments
from ..select import Kept


def compact(keys: Tensor, values: Tensor, kept: Kept, segments: Segments) -> tuple[Tensor, Tensor]:
    """Flat keys and values [S, D]; see `kernels.compact`. A slot not in use gets some token of the layer."""
    n_contexts, n_heads, n_tokens, dim = keys.shape
    lengths, n_rows = segments.lengths, len(segments.lengths)
    rows = torch.arange(n_rows) if n_contexts > 1 else torch.zeros(n_rows, dtype=torch.int64)
    heads = (rows.unsqueeze(-1) * n_heads + torch.arange(n_heads)).flatten().repeat_interleave(lengths.flatten())
    index = heads.to(keys.device) * n_tokens + kept.positions
    kv = FlatKV.gathered(keys.reshape(-1, dim), values.reshape(-1, dim), index, lengths, segments.capacities)
    return kv.keys, kv.values
