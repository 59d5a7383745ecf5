"""The gate before a measurement: an eviction that computes something else is not timed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine.cache import StoreCache
from ..engine.decode import decode
from ..engine.feed import feed
from ..engine.layouts import SHARED
from ..engine.prefill import prefill
from ..engine.rotary import rotating_for
from ..methods.eviction import evict_alone
from ..models.load import LoadedModel
from ..run.unit import Unit
from .request import Gate

TOLERANCE = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 5e-1}
"""By dtype the largest difference of a logit, per standard deviation of all logits. docs/cost.md says what was seen."""


def check_gate(loaded: LoadedModel, unit: Unit) -> Gate:
    """Compare the cache that is measured with the full one, from which a mask hides what was evicted.

    Both are fed the same tokens: the question, and what the evicted cache answers. The evicted cache is fed as it is in
    decoding, the other one in one pass.

    Args:
        loaded: The model, switched to store attention.
        unit: With one configuration, bound to its profiles.

    Raises:
        Exception: what a plugin raised.
    """
    (configuration,) = unit.configurations
    evicted = evict_alone(loaded, unit.context, configuration.method, unit.seed, unit.n_sequence)
    answer = decode(loaded, evicted.cache, [unit.question], unit.stop).rows[0].ids
    evicted.cache.take_all_back()
    pieces = [unit.question, *([token] for token in answer[:-1])]
    ours = torch.cat([_logits(loaded, evicted.cache, piece) for piece in pieces])
    kept = evicted.selection.kept
    del evicted
    context = prefill(loaded, unit.context, {}, seed=unit.seed, n_sequence=unit.n_sequence)
    oracle = SHARED.build(context, [kept], unit.n_sequence - len(unit.context))
    masked = _logits(loaded, oracle, [token for piece in pieces for token in piece])
    error = float((ours - masked).abs().max() / masked.std())
    return Gate(error, TOLERANCE[loaded.dtype], len(masked))


@torch.inference_mode()
def _logits(loaded: LoadedModel, cache: StoreCache, chunk: Sequence[int]) -> Tensor:
    """Logits float32 [n, vocabulary] after every token of a chunk."""
    n_fed = int(cache.n_seen.max()) + len(chunk)
    with rotating_for(loaded.model, cache.n_sequence, n_fed):
        return feed(loaded, cache, [chunk], [len(chunk)]).float()
