"""The bytes that KeyDiff's scores must move."""


def floor_bytes(n_batch: int, n_heads: int, n_tokens: int, dim: int, itemsize: int) -> int:
    """Two passes over the keys, since no score is known before the mean of all unit keys; the scores are written."""
    n = n_batch * n_heads * n_tokens
    return n * (2 * dim * itemsize + 4)
