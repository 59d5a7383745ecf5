"""||W_O v|| in Triton: the values are read once for all query heads of a group."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import SHIPPED, Case
from ..work import power_of_two

COLUMNS = 32
"""Columns of a Gram matrix that are in shared memory at once: 32 KiB in float32 at D = 256."""


@triton.jit
def projected_norm_kernel(
    values: tl.tensor,
    grams: tl.tensor,
    norms: tl.tensor,
    n_heads: tl.tensor,
    group: tl.tensor,
    n_tokens: tl.tensor,
    stride_b: tl.tensor,
    stride_h: tl.tensor,
    stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
    COLS: tl.constexpr,
) -> None:
    """sqrt(v^T M v), float32 [B, HQ, T], of values [B, H, T, D] and a Gram matrix of each query head, float32
    [HQ, D, D].

    Grid: (tiles, B * H). Reads each value once; the Gram matrices of its group once for each tile, from the L2 cache,
    some columns at a time, since a whole one may not fit. The matching numbers of v are picked out of the tile in
    registers: D adds for a token and a set of columns, beside D x 32 of the product.
    """
    segment = tl.program_id(1).to(tl.int64)
    tokens, dims, cols = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_D), tl.arange(0, COLS)
    base = values + segment // n_heads * stride_b + segment % n_heads * stride_h
    real = (tokens < n_tokens)[:, None] & (dims < DIM)[None, :]
    v = tl.load(base + tokens.to(tl.int64)[:, None] * stride_t + dims[None, :], real, 0).to(tl.float32)
    sets = tl.reshape(v, [BLOCK_T, BLOCK_D // COLS, COLS])
    number = tl.arange(0, BLOCK_D // COLS)[None, :, None]
    for member in range(group):
        gram = grams + (segment % n_heads * group + member) * DIM * DIM
        squared = tl.zeros([BLOCK_T], tl.float32)
        for first in range(0, BLOCK_D, COLS):
            inside = (dims < DIM)[:, None] & (first + cols < DIM)[None, :]
            m = tl.load(gram + dims[:, None] * DIM + first + cols[None, :], inside, 0)
            own = tl.sum(tl.where(number == first // COLS, sets, 0.0), axis=1)
            squared += tl.sum(tl.dot(v, m, input_precision="ieee") * own, axis=1)
        at = norms + (segment * group + member) * n_tokens + tokens
        tl.store(at, tl.sqrt(tl.maximum(squared, 0.0)), tokens < n_tokens)


def block_tokens(dim: int) -> int:
    """Tokens of a tile."""
    return 32 if dim <= 128 else 16


def projected_norm(values: Tensor, output_weight: Tensor, block_t: int | None = None) -> Tensor:
    """float32 [B, HQ, T]; see `kernels.projected_norm`.

    Args:
        values: [B, H, T, D]; copied only if the numbers of a value are not side by side.
        output_weight: [HQ, D, hidden].
        block_t: Tokens of a tile, a power of two; None = for a card.
    """
    values = values if values.stride(3) == 1 else values.contiguous()
    n_batch, n_heads, n_tokens, dim = values.shape
    n_query_heads, block_t = len(output_weight), block_t or block_tokens(dim)
    weight = output_weight.float()
    grams = torch.bmm(weight, weight.transpose(1, 2))
    norms = torch.empty(n_batch, n_query_heads, n_tokens, dtype=torch.float32, device=values.device)
    sizes = {"DIM": dim, "BLOCK_T": block_t, "BLOCK_D": max(COLUMNS, power_of_two(dim)), "COLS": COLUMNS}
    strides, group = values.stride()[:3], n_query_heads // n_heads
    grid = triton.cdiv(n_tokens, block_t), n_batch * n_heads
    projected_norm_kernel[grid](values, grams, norms, n_heads, group, n_tokens, *strides, **sizes, num_warps=4)
    return norms


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    integers = dict.fromkeys(("n_heads", "group", "n_tokens", "stride_b", "stride_h", "stride_t"), "i32")
    for dtype, dim in SHIPPED:
        types = {"values": f"*{dtype}", "grams": "*fp32", "norms": "*fp32", **integers}
        sizes = {"DIM": dim, "BLOCK_T": block_tokens(dim), "BLOCK_D": power_of_two(dim), "COLS": COLUMNS}
        yield Case(f"projected-norm-{dtype}-d{dim}", projected_norm_kernel, types, sizes, {"num_warps": 4})
