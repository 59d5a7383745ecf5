"""Sizes of the launch of ragged attention."""

from dataclasses import dataclass

import torch

PROGRAMS_A_PROCESSOR = 2
"""While one program waits for its keys the other computes."""


@dataclass(frozen=True)
class Tiles:
    """Sizes of a program.

    Attributes:
        rows: Query rows (query heads of a KV head x tokens) of a tile, a power of two, at least 16 for a dot product.
        slots: Keys of a tile, a power of two, at least 16.
        warps: Warps of a program.
        stages: Tiles of keys and values in flight.
        merged_rows: Query rows of a program that merges partial results.
    """

    rows: int
    slots: int
    warps: int
    stages: int
    merged_rows: int = 1


def tiles_for(dtype: torch.dtype, dim: int, n_rows: int) -> Tiles:
    """The tiles for keys of a dtype and head dim, and `n_rows` = G x Q query rows of a KV head.

    A tile of keys and one of values take 2 x slots x D x itemsize bytes of shared memory a stage. Two programs must fit
    a multiprocessor of 164 KiB, and the sums [rows, D] its registers. Decoding is bound by bytes, so that the padding
    of few query rows to 16 costs nothing; a wide chunk has more rows and fewer slots in a tile.
    """
    wide = max(1 << (dim - 1).bit_length(), 64)
    if dtype == torch.float32:
        return Tiles(16, 4096 // wide, 4, 2)
    if n_rows <= 16:
        return Tiles(16, 8192 // wide, 4, 3)
    return Tiles(32 if wide > 128 else 64, 4096 // wide, 4, 3)


def merged_items(width: int) -> int:
    """Partial results of a query row that a merging program loads at once, for a head dim padded to `width`. Their
    numbers must fit the registers."""
    return 16 if width <= 128 else 8


def n_programs(device: torch.device, n_row_tiles: int) -> int:
    """Programs that keep a device busy, where each of them works on one of several tiles of query rows."""
    if device.type != "cuda":
        return 4
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return max(1, PROGRAMS_A_PROCESSOR * processors // n_row_tiles)
