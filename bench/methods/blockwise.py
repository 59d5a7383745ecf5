"""Evicts a context block by block."""

from collections.abc import Sequence

from ..engine.blocks import BlockPrefill, read_blocks
from ..engine.context import FullCache
from ..engine.eviction_times import EvictionTimes
from ..engine.scoring import Tainted
from ..engine.trimming import Trim
from ..errors import WriteError, without_frames
from ..models.load import DTYPES, LoadedModel
from .estimate import CacheShape
from .evicted import Barred, Evicted, EvictionSeconds, refuse_barred
from .method import Method
from .policy import Policy
from .selection import Selection


def evict_in_blocks(
    loaded: LoadedModel,
    ids: Sequence[int],
    method: Method,
    block: int,
    seed: int,
    n_sequence: int,
    barred: Barred,
    n_rows: int = 1,
    times: EvictionTimes | None = None,
) -> Evicted:
    """Read a context in blocks of so many tokens and evict every layer after each.

    The allocator is asked once, for the whole context's length. When tokens are evicted is noted in `times`. The other
    arguments are those of `evict_alone`.

    Raises:
        ModelChanged: a plugin changed the model's weights, and they cannot be read again.
        Exception: what a plugin raised.
    """
    refuse_barred(method, barred)
    policy, trim = Policy(loaded, method, len(ids), seed), None
    if method.scorer is not None:
        trim = Trim(method.scorer.instance, policy.keep_counts, method.protection, policy.budget.per_head)
    try:
        record = read_blocks(BlockPrefill(loaded, tuple(ids), n_sequence, block, trim, seed, times), n_rows)
    except (Tainted, WriteError) as error:
        barred[method.label] = without_frames(error.error if isinstance(error, Tainted) else error)
        raise barred[method.label] from None
    steps = EvictionSeconds(record.score_s, policy.allocate_s, record.select_s, record.compact_s)
    sizes = CacheShape(loaded.shape, DTYPES[loaded.dtype].itemsize)
    return Evicted(
        cache=record.cache,
        selection=Selection(record.kept, tuple(policy.events), steps.choosing_s),
        full=FullCache(len(ids), sizes.full_bytes(len(ids)), record.prefill_s),
        steps=steps,
        held=record.held,
    )
