"""The interface of a KV store of one layer."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from .form import Form
from .select import Kept


class KVStore(Protocol):
    """Keys and values of one layer after eviction, for a batch of rows, to which tokens are appended.

    Logical positions count from the context's first token, including evicted ones. Lengths, counts and rows are
    int64 on the CPU.
    """

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """Append a chunk.

        Args:
            keys: [B, H, Q, D].
            values: [B, H, Q, D].
            new_lengths: int64 [B]; row b adds its first `new_lengths[b]` tokens.
        """

    def attend(self, query: Tensor, new_lengths: Tensor, form: Form) -> Tensor:
        """Attend the chunk just appended.

        Args:
            query: [B, HQ, Q, D].
            new_lengths: int64 [B], as in `append`.
            form: Scale and options of the attention.

        Returns:
            The output [B, Q, HQ, D] in the dtype of `query`.
        """

    def keep_rows(self, rows: Tensor) -> None:
        """Drop all rows of the batch but these.

        Args:
            rows: int64 [B'], ascending indices in the present batch.
        """

    def n_appended(self) -> Tensor:
        """int64 [B]: tokens appended since the store was made or `keep` was called."""

    def take_back(self, n: Tensor) -> None:
        """Drop the last n[b] tokens of each row; nothing is copied.

        Args:
            n: int64 [B], at most the tokens appended since the store was made or `keep` was called.

        Raises:
            ValueError: a row has fewer appended tokens.
        """

    def keep(self, kept: Kept) -> None:
        """Keep some of the held slots.

        Args:
            kept: A selection over the positions of `positions()`, with the same mask shape.

        Raises:
            ValueError: it has positions that the store does not hold.
        """

    def positions(self) -> Kept:
        """The logical positions that each (row, head) holds, mask [B, H, positions of the longest row]."""

    def kv_bytes_by_row(self) -> list[int]:
        """Per row the bytes of the slots that it attends to: slots x (key + value), no spare slots."""

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all keys and values that the store keeps alive, spare slots included."""


StoreFactory = Callable[[Tensor, Tensor, Kept, int], KVStore]
"""Makes one layer's store from (keys [1, H, T, D], values, what each row keeps, spare slots a segment)."""
