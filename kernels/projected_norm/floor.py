"""The bytes that norms of projected values must move."""


def floor_bytes(n_batch: int, n_heads: int, group: int, n_tokens: int, dim: int, itemsize: int) -> int:
    """The values read once, the Gram matrix of each query head read once, the norms written."""
    return n_batch * n_heads * n_tokens * (dim * itemsize + group * 4) + n_heads * group * dim * dim * 4
