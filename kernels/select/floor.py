"""The bytes that a selection must move."""


def floor_bytes(n_heads: int, n_tokens: int, n_kept: int) -> int:
    """Scores read, the mask and the kept positions written.

    Args:
        n_heads: Heads of all layers and rows.
        n_tokens: T.
        n_kept: Positions that they keep together.
    """
    return n_heads * n_tokens * (4 + 1) + n_kept * 8
