"""The bytes that an append must move."""


def floor_bytes(n_new: int, n_heads: int, dim: int, itemsize: int) -> int:
    """The keys and values of `n_new` tokens, those of all rows, are read once and written once in each KV head."""
    return 2 * 2 * n_new * n_heads * dim * itemsize
