"""Compaction in Triton: every kept key and value is read once and written once."""

from collections.abc import Iterator

import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import SHIPPED, Case
from ..segments import Segments
from ..select import Kept
from ..work import power_of_two

TILE = 8192
"""Numbers of a tile: two tiles of 64 numbers in each of the 128 threads of a program, all loads of them in flight."""


@triton.jit
def compact_kernel(
    keys: tl.tensor,
    values: tl.tensor,
    positions: tl.tensor,
    offsets: tl.tensor,
    starts: tl.tensor,
    out_keys: tl.tensor,
    out_values: tl.tensor,
    n_heads: tl.tensor,
    n_blocks: tl.tensor,
    k_stride_b: tl.tensor,
    k_stride_h: tl.tensor,
    k_stride_t: tl.tensor,
    v_stride_b: tl.tensor,
    v_stride_h: tl.tensor,
    v_stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Kept tokens of keys and values [B, H, T, D] into their segments of [S, D].

    Grid: (R * H * blocks,), blocks for the longest segment; a program past the end of its segment returns after two
    loads. Moves each kept key and value once in and once out, and 8 bytes of its position. Slots after a segment's
    length are not written. A batch stride of 0 serves all rows from one context. Values are copied as they are, in any
    type.
    """
    segment, block = (tl.program_id(0) // n_blocks).to(tl.int64), tl.program_id(0) % n_blocks
    begin, end = tl.load(offsets + segment), tl.load(offsets + segment + 1)
    first = block * BLOCK_N
    if first >= end - begin:
        return
    within = first + tl.arange(0, BLOCK_N)
    kept = within < end - begin
    tokens = tl.load(positions + begin + within, kept, 0)[:, None]
    dims = tl.arange(0, BLOCK_D)[None, :]
    real = kept[:, None] & (dims < DIM)
    head, row = segment % n_heads, segment // n_heads
    k = tl.load(keys + row * k_stride_b + head * k_stride_h + tokens * k_stride_t + dims, real)
    v = tl.load(values + row * v_stride_b + head * v_stride_h + tokens * v_stride_t + dims, real)
    slots = (tl.load(starts + segment) + within)[:, None] * DIM + dims
    tl.store(out_keys + slots, k, real)
    tl.store(out_values + slots, v, real)


def block_tokens(dim: int) -> int:
    """Tokens of a tile."""
    return TILE // power_of_two(dim)


def compact(
    keys: Tensor, values: Tensor, kept: Kept, segments: Segments, block: int | None = None
) -> tuple[Tensor, Tensor]:
    """Flat keys and values [S, D]; see `kernels.compact`.

    Args:
        keys: [B, H, T, D]; copied only if the numbers of a key are not side by side.
        values: [B, H, T, D].
        kept: Of R rows.
        segments: Of R rows.
        block: Tokens of a tile, a power of two; None = for a card.
    """
    keys, values = (each if each.stride(3) == 1 else each.contiguous() for each in (keys, values))
    (n_contexts, n_heads, _, dim), device = keys.shape, keys.device
    n_slots, block = int(segments.capacities.sum()), block or block_tokens(dim)
    out_keys, out_values = keys.new_empty(n_slots, dim), values.new_empty(n_slots, dim)
    n_blocks = triton.cdiv(int(segments.lengths.max()), block)
    grid = (segments.lengths.numel() * n_blocks,)
    if not n_blocks:
        return out_keys, out_values
    strides = (each.stride(axis) * (axis > 0 or n_contexts > 1) for each in (keys, values) for axis in range(3))
    offsets, starts = kept.offsets.to(device), segments.starts.to(device).contiguous()
    sizes = {"DIM": dim, "BLOCK_N": block, "BLOCK_D": power_of_two(dim), "num_warps": 4}
    tensors = keys, values, kept.positions, offsets, starts, out_keys, out_values
    compact_kernel[grid](*tensors, n_heads, n_blocks, *strides, **sizes)
    return out_keys, out_values


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    strides = (f"{each}_stride_{axis}" for each in "kv" for axis in "bht")
    integers = dict.fromkeys(("n_heads", "n_blocks", *strides), "i32")
    where = dict.fromkeys(("positions", "offsets", "starts"), "*i64")
    for dtype, dim in SHIPPED:
        tensors = dict.fromkeys(("keys", "values", "out_keys", "out_values"), f"*{dtype}")
        sizes = {"DIM": dim, "BLOCK_N": block_tokens(dim), "BLOCK_D": power_of_two(dim)}
        types = {**tensors, **where, **integers}
        yield Case(f"compact-{dtype}-d{dim}", compact_kernel, types, sizes, {"num_warps": 4})
