"""The bytes that a compaction must move."""


def floor_bytes(n_kept: int, dim: int, itemsize: int) -> int:
    """The keys and values of `n_kept` tokens, of all rows and heads together, read once and written once, and where
    they lie."""
    return n_kept * (4 * dim * itemsize + 8)
