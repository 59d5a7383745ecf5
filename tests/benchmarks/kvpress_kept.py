"""What kvpress masks beside what we evict, and our answer over what kvpress keeps."""

import numpy as np
import torch

from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.methods.policy import Policy
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.unit import Unit, UnitConfiguration
from lukv_bench.kernels.select import Kept

NOISE = 1e-5
"""Largest relative difference of two equal scores: float32 sums in another order."""


def differing_slots(masked: np.ndarray, evicted: np.ndarray, scores: np.ndarray) -> tuple[int, int]:
    """(slots that one side alone evicts, those of them at ties: what either evicts of a head has the same scores).

    Args:
        masked: int [n, 3], layer, head and position of each slot that kvpress masks.
        evicted: bool [L, H, T], ours.
        scores: [L, H, T].
    """
    noted = np.zeros_like(evicted)
    noted[tuple(masked.T)] = True
    apart, tied = noted != evicted, 0
    for head in map(tuple, np.argwhere(apart.any(axis=-1))):
        mine, other = (np.sort(scores[head][apart[head] & side[head]]) for side in (evicted, noted))
        tied += int(apart[head].sum()) * (len(mine) == len(other) and np.allclose(mine, other, rtol=NOISE, atol=0))
    return int(apart.sum()), tied


def over_their_slots(
    loaded: LoadedModel, unit: Unit, one: UnitConfiguration, masked: np.ndarray
) -> tuple[int, int, str]:
    """(slots apart, those at ties, our answer over the slots that kvpress keeps)."""
    method = one.method
    scorers = {method.table: method.scorer.instance} if method.scorer else {}
    context = prefill(loaded, unit.context, scorers, n_sequence=unit.n_sequence)
    scores = context.table(method.table)
    kept = Policy(loaded, method, len(unit.context), seed=0).decide_all(scores)
    evicted = ~torch.stack([layer.mask[0] for layer in kept]).numpy()
    apart, tied = differing_slots(masked, evicted, scores[:, 0].numpy())
    theirs = torch.ones(evicted.shape, dtype=torch.bool)
    theirs[tuple(torch.from_numpy(masked.astype(np.int64)).T)] = False
    cache = evict(context, [Kept.of_mask(layer.unsqueeze(0)) for layer in theirs], unit.n_sequence - len(unit.context))
    return apart, tied, decode(loaded, cache, [unit.question], unit.stop).rows[0].text
