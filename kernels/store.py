"""What every KV store of one layer can do."""

from typing import Protocol

from torch import Tensor


class KVStore(Protocol):
    """Keys and values of one layer after eviction; new tokens are appended and never evicted."""

    def append(self, keys: Tensor, values: Tensor, new_lengths: Tensor) -> None:
        """Take in a chunk.

        Args:
            keys: [B, H, Q, D].
            values: [B, H, Q, D].
            new_lengths: int64 [B] on the CPU; row b adds its first `new_lengths[b]` tokens.
        """

    def attend(self, query: Tensor, new_lengths: Tensor, scale: float) -> Tensor:
        """Attend the chunk just appended: [B, HQ, Q, D] -> [B, Q, HQ, D]."""

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with some rows of the batch alone.

        Args:
            rows: int64 [B'] on the CPU, ascending places in the present batch.
        """
