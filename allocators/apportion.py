"""Whole numbers from ideal shares, with the total exact."""

from torch import Tensor


def apportion(ideal: Tensor, total: int, cap: int) -> Tensor:
    """Round ideal shares to integers in [0, cap] that sum to `total`, by largest remainder.

    Each part starts at the floor of its ideal. Missing units go, one each, to the largest remainders below the cap,
    repeatedly; surplus units are taken from the smallest remainders above zero. Equal remainders go to the lower
    index.

    Args:
        ideal: float64 [parts], in [0, cap] up to rounding noise.
        total: From 0 to parts x cap.
        cap: Largest value of a part.

    Returns:
        int64 [parts].
    """
    if not 0 <= total <= ideal.numel() * cap:
        raise ValueError(f"{ideal.numel()} parts of at most {cap} cannot sum to {total}")
    if not bool(ideal.isfinite().all()):
        raise ValueError("an ideal share is not finite")
    counts = ideal.double().clamp(0, cap).floor().long()
    remainders = ideal.double() - counts
    while (missing := total - int(counts.sum())) != 0:
        step = 1 if missing > 0 else -1
        room = cap - counts if step > 0 else counts
        n_open = int((room > 0).sum())
        # Whole rounds at once, up to where the first part is full: ideals far from the total take no more passes.
        if rounds := min(abs(missing) // n_open, int(room[room > 0].min())):
            counts[room > 0] += step * rounds
            continue
        order = (remainders * step).masked_fill(room == 0, float("-inf")).argsort(descending=True, stable=True)
        counts[order[: abs(missing)]] += step
    return counts
