"""The bytes that window attention must move."""


def floor_bytes(n_batch: int, n_heads: int, group: int, n_tokens: int, n_window: int, dim: int, itemsize: int) -> int:
    """Two passes over the keys, since no weight is known before its query's log-sum-exp, of which the second leaves
    the window out; the queries read in both; the means written."""
    n_before = n_tokens - n_window
    keys, queries = (n_tokens + n_before) * dim * itemsize, 2 * group * n_window * dim * itemsize
    return n_batch * n_heads * (keys + queries + group * n_before * 4)
