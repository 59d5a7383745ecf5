"""The gate before a measurement: an eviction that computes something else is not timed."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...kernels.select import Kept
from ..engine.blocks import BlockPrefill
from ..engine.cache import StoreCache
from ..engine.decode import decode
from ..engine.eviction_times import EvictionTimes
from ..engine.feed import feed
from ..engine.layouts import SHARED
from ..engine.masked_blocks import read_masked
from ..engine.prefill import prefill
from ..engine.rotary import rotating_for
from ..methods.blockwise import evict_in_blocks
from ..methods.eviction import evict_alone
from ..models.load import LoadedModel
from ..run.unit import Unit
from .request import Gate

TOLERANCE = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 5e-1}
"""By dtype the largest difference of a logit, per standard deviation of all logits. docs/cost.md says what was seen."""


def check_gate(loaded: LoadedModel, unit: Unit) -> Gate:
    """Compare the cache that is measured with the full one, from which a mask hides what was evicted.

    Both are fed the same tokens: the question, and what the evicted cache answers. The evicted cache is fed as it is in
    decoding, the other one in one pass. Under a block schedule the full cache is read in the same blocks, and each of
    them is masked as the eviction left those before it.

    Args:
        loaded: The model, switched to store attention.
        unit: With one configuration, bound to its profiles.

    Raises:
        Exception: what a plugin raised.
    """
    (configuration,) = unit.configurations
    method, block = configuration.method, configuration.method.schedule.block
    if block is None:
        evicted = evict_alone(loaded, unit.context, method, unit.seed, unit.n_sequence)
        oracle = partial(_whole, loaded, unit, evicted.selection.kept)
    else:
        times = EvictionTimes.of(loaded, len(unit.context))
        evicted = evict_in_blocks(loaded, unit.context, method, block, unit.seed, unit.n_sequence, {}, times=times)
        oracle = partial(_in_blocks, loaded, unit, block, times)
    answer = decode(loaded, evicted.cache, [unit.question], unit.stop).rows[0].ids
    evicted.cache.take_all_back()
    pieces = [unit.question, *([token] for token in answer[:-1])]
    ours = torch.cat([_logits(loaded, evicted.cache, piece) for piece in pieces])
    del evicted
    masked = _logits(loaded, oracle(), [token for piece in pieces for token in piece])
    error = float((ours - masked).abs().max() / masked.std())
    return Gate(error, TOLERANCE[loaded.dtype], len(masked))


def _whole(loaded: LoadedModel, unit: Unit, kept: Sequence[Kept]) -> StoreCache:
    context = prefill(loaded, unit.context, {}, seed=unit.seed, n_sequence=unit.n_sequence)
    return SHARED.build(context, [kept], unit.n_sequence - len(unit.context))


def _in_blocks(loaded: LoadedModel, unit: Unit, block: int, times: EvictionTimes) -> StoreCache:
    return read_masked(BlockPrefill(loaded, unit.context, unit.n_sequence, block, None, unit.seed), times)


@torch.inference_mode()
def _logits(loaded: LoadedModel, cache: StoreCache, chunk: Sequence[int]) -> Tensor:
    """Logits float32 [n, vocabulary] after every token of a chunk."""
    n_fed = int(cache.n_seen.max()) + len(chunk)
    with rotating_for(loaded.model, cache.n_sequence, n_fed):
        return feed(loaded, cache, [chunk], [len(chunk)]).float()
