"""The append in plain torch: the reference for any faster form."""

import torch
from torch import Tensor

from ..segments import Segments


def append(
    keys: Tensor, values: Tensor, segments: Segments, new_keys: Tensor, new_values: Tensor, new_lengths: Tensor
) -> None:
    """See `kernels.append`; segments and new lengths on the CPU."""
    n_new, dim = new_keys.shape[2:]
    slots = segments.next_slots(n_new)
    if int(new_lengths.min()) == n_new:
        index = slots.view(-1).to(keys.device)
        keys.index_copy_(0, index, new_keys.reshape(-1, dim))
        values.index_copy_(0, index, new_values.reshape(-1, dim))
    else:
        real = (torch.arange(n_new) < new_lengths.unsqueeze(-1)).unsqueeze(1).expand_as(slots)
        index, real = slots[real].to(keys.device), real.to(new_keys.device)
        keys[index] = new_keys[real]
        values[index] = new_values[real]
