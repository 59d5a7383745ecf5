"""KeyDiff's scores in Triton: a pass that adds up the unit keys, and a pass that scores."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import SHIPPED, Case
from ..work import chunk_of, power_of_two

TILE = 4096
"""Numbers of a tile of keys: 32 registers of each of the 128 threads of a program."""


@triton.jit
def unit_sums_kernel(
    keys: tl.tensor,
    sums: tl.tensor,
    n_heads: tl.tensor,
    n_tokens: tl.tensor,
    chunk: tl.tensor,
    stride_b: tl.tensor,
    stride_h: tl.tensor,
    stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Sums of k / ||k|| over chunks of tokens, float32 [B * H, chunks, D], from keys [B, H, T, D].

    Reads each key once. Grid: (B * H, chunks). The tile of sums stays in registers until the chunk ends, so that one
    reduction over threads is made for each chunk instead of each tile.
    """
    segment, begin = tl.program_id(0).to(tl.int64), tl.program_id(1) * chunk
    dims = tl.arange(0, BLOCK_D)
    base = keys + segment // n_heads * stride_b + segment % n_heads * stride_h
    total = tl.zeros([BLOCK_T, BLOCK_D], tl.float32)
    for first in range(begin, tl.minimum(begin + chunk, n_tokens), BLOCK_T):
        tokens = first + tl.arange(0, BLOCK_T)
        real = (tokens < n_tokens)[:, None] & (dims < DIM)[None, :]
        k = tl.load(base + tokens.to(tl.int64)[:, None] * stride_t + dims[None, :], real, 0).to(tl.float32)
        norm = tl.sqrt(tl.sum(k * k, axis=1))
        total += k / tl.maximum(norm, 1e-12)[:, None]
    out = sums + (segment * tl.num_programs(1) + tl.program_id(1)) * DIM + dims
    tl.store(out, tl.sum(total, axis=0), dims < DIM)


@triton.jit
def scores_kernel(
    keys: tl.tensor,
    anchors: tl.tensor,
    scores: tl.tensor,
    n_heads: tl.tensor,
    n_tokens: tl.tensor,
    stride_b: tl.tensor,
    stride_h: tl.tensor,
    stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Minus the cosine of each key [B, H, T, D] with its head's anchor, float32 [B * H, D]; float32 [B, H, T].

    Reads each key once, an anchor for each tile of keys, and writes each score once. Grid: (B * H, tiles): tiles share
    nothing.
    """
    segment = tl.program_id(0).to(tl.int64)
    dims, tokens = tl.arange(0, BLOCK_D), tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    base = keys + segment // n_heads * stride_b + segment % n_heads * stride_h
    real = (tokens < n_tokens)[:, None] & (dims < DIM)[None, :]
    k = tl.load(base + tokens.to(tl.int64)[:, None] * stride_t + dims[None, :], real, 0).to(tl.float32)
    anchor = tl.load(anchors + segment * DIM + dims, dims < DIM, 0)
    norms = tl.maximum(tl.sqrt(tl.sum(k * k, axis=1)), 1e-8) * tl.maximum(tl.sqrt(tl.sum(anchor * anchor)), 1e-8)
    score = -tl.sum(k * anchor[None, :], axis=1) / norms
    tl.store(scores + segment * n_tokens + tokens, score, tokens < n_tokens)


def block_tokens(dim: int) -> int:
    """Tokens of a tile."""
    return TILE // power_of_two(dim)


def keydiff(keys: Tensor, block_t: int | None = None, chunk: int | None = None) -> Tensor:
    """float32 [B, H, T] from keys [B, H, T, D]; see `kernels.keydiff`.

    Args:
        keys: [B, H, T, D]; copied only if the numbers of a key are not side by side.
        block_t: Tokens of a tile, a power of two; None = for a card.
        chunk: Tokens of one program of the first pass; None = for a card.
    """
    keys = keys if keys.stride(3) == 1 else keys.contiguous()
    n_batch, n_heads, n_tokens, dim = keys.shape
    n_segments, block_t = n_batch * n_heads, block_t or block_tokens(dim)
    chunk = chunk or chunk_of(n_tokens, block_t, n_segments)
    sizes = {"DIM": dim, "BLOCK_T": block_t, "BLOCK_D": power_of_two(dim), "num_warps": 4}
    strides = keys.stride()[:3]
    n_chunks = triton.cdiv(n_tokens, chunk)
    sums = torch.empty(n_segments, n_chunks, dim, dtype=torch.float32, device=keys.device)
    unit_sums_kernel[n_segments, n_chunks](keys, sums, n_heads, n_tokens, chunk, *strides, **sizes)
    anchors = sums.sum(dim=1) / n_tokens
    scores = torch.empty(n_batch, n_heads, n_tokens, dtype=torch.float32, device=keys.device)
    grid = n_segments, triton.cdiv(n_tokens, block_t)
    scores_kernel[grid](keys, anchors, scores, n_heads, n_tokens, *strides, **sizes)
    return scores


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    integers = dict.fromkeys(("n_heads", "n_tokens", "chunk", "stride_b", "stride_h", "stride_t"), "i32")
    for dtype, dim in SHIPPED:
        sizes = {"DIM": dim, "BLOCK_T": block_tokens(dim), "BLOCK_D": power_of_two(dim)}
        types = {"keys": f"*{dtype}", "sums": "*fp32", "anchors": "*fp32", "scores": "*fp32", **integers}
        yield Case(f"keydiff-sums-{dtype}-d{dim}", unit_sums_kernel, types, sizes, {"num_warps": 4})
        yield Case(f"keydiff-scores-{dtype}-d{dim}", scores_kernel, types, sizes, {"num_warps": 4})
