"""The KV footprint: how much of a cache is held for how long."""

from collections.abc import Sequence


def kv_footprint(
    held: Sequence[int], n_context: int, slots_per_token: int, n_kept: int, n_fed: int, block: int | None = None
) -> float:
    """Slots held x steps held, relative to the full cache; 1 for the full cache itself.

    After arXiv 2506.17121, which counts both the KV entries stored and how long they are held, over prefill and
    decoding. Time is counted in tokens: reading a context of T tokens in one pass takes T steps, T / L for each of the
    L layers, and every token fed later takes one step. A layer's steps count all slots that are there once its keys
    and values are computed and before any of them is evicted, so that a method which evicts only after the whole
    prefill has held what the full cache holds until then.

    A block of n tokens takes n steps, n / L for each layer. The full cache is read in one pass whatever the schedule.

    Differs from the paper: without a block schedule the context is read in one pass, so that eviction shows in the
    prefill layer by layer.

    Args:
        held: Per layer, in the order of the prefill, the slots of all layers that are held; for each block.
        n_context: T.
        slots_per_token: L x H.
        n_kept: Slots that are left when the context is read.
        n_fed: Tokens fed later, of question and answer.
        block: Tokens of a block; None = the context is read in one pass.
    """
    starts = range(0, n_context, block or n_context)
    n_layers = len(held) // len(starts)
    steps = [min(block or n_context, n_context - start) for start in starts]
    per_layer = slots_per_token // n_layers
    prefill = sum(sum(held[b * n_layers : (b + 1) * n_layers]) * n for b, n in enumerate(steps)) / n_layers
    full_prefill = sum(per_layer * n_context * (index + 1) for index in range(n_layers)) * n_context / n_layers
    fed = slots_per_token * n_fed * (n_fed + 1) / 2
    later = n_kept * n_fed + fed
    full_later = slots_per_token * n_context * n_fed + fed
    return (prefill + later) / (full_prefill + full_later)
