"""The bytes that ragged attention must move."""


def floor_bytes(n_slots: int, n_queries: int, n_query_heads: int, dim: int, itemsize: int) -> int:
    """The key and value of each slot in use are read once, each query is read and each output written.

    Args:
        n_slots: Slots in use of all segments.
        n_queries: Queries of all rows.
        n_query_heads: HQ.
        dim: D.
        itemsize: Bytes of a number.
    """
    return 2 * (n_slots + n_queries * n_query_heads) * dim * itemsize
