"""Pools scores over neighbouring tokens."""

from typing import Literal

from torch import Tensor
from torch.nn import functional


def pooled(scores: Tensor, kernel: int, pool: Literal["max", "avg"]) -> Tensor:
    """Each score becomes the largest, or the mean, of the `kernel` scores around it.

    Args:
        scores: float32 [..., n].
        kernel: Tokens that are pooled together, odd.
        pool: max or avg; avg counts places outside the scores as 0.

    Returns:
        float32 [..., n].
    """
    if scores.shape[-1] == 0:
        return scores
    rows, padding = scores.reshape(1, -1, scores.shape[-1]), kernel // 2
    if pool == "max":
        return functional.max_pool1d(rows, kernel, stride=1, padding=padding).view_as(scores)
    return functional.avg_pool1d(rows, kernel, stride=1, padding=padding).view_as(scores)


def check_window(window: int) -> None:
    """Refuse an observation window without queries.

    Raises:
        ValueError: it has none.
    """
    if window < 1:
        raise ValueError(f"window is a number of tokens, at least 1, not {window}")


def check_sizes(window: int, kernel: int) -> None:
    """Refuse sizes out of range.

    Raises:
        ValueError: a window without queries, or a kernel that is not odd.
    """
    check_window(window)
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel is odd and at least 1, not {kernel}")
