"""The append in Triton: one launch for all rows and heads."""

from collections.abc import Iterator

import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import Case
from ..segments import Segments
from ..work import power_of_two

TILE = 4096
"""Numbers of a tile where a chunk has more than one token; with twice as many some types spill registers."""


def tile_tokens(n_new: int, dim: int) -> int:
    """Tokens of a tile, for a chunk of `n_new` tokens and a head dim."""
    return 1 if n_new == 1 else min(TILE // power_of_two(dim), 32)


@triton.jit(do_not_specialize=["n_heads"])
def append_kernel(
    keys: tl.tensor,
    values: tl.tensor,
    starts: tl.tensor,
    lengths: tl.tensor,
    new_keys: tl.tensor,
    new_values: tl.tensor,
    new_lengths: tl.tensor,
    n_heads: tl.tensor,
    keys_b: tl.tensor,
    keys_h: tl.tensor,
    keys_q: tl.tensor,
    values_b: tl.tensor,
    values_h: tl.tensor,
    values_q: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Copies the chunk's tokens to the slots behind each segment: each byte is read once and written once.

    Grid: (B * H, tiles of tokens): tokens share nothing, and a step that decodes has one of them a segment.

    Args:
        keys: [S, D].
        values: [S, D].
        starts: int64 [B * H].
        lengths: int64 [B * H], without the chunk.
        new_keys: [B, H, Q, D], the numbers of a head side by side.
        new_values: [B, H, Q, D], likewise.
        new_lengths: int64 [B].
        n_heads: H.
        keys_b: Numbers from a row's new keys to the next row's.
        keys_h: The same for heads.
        keys_q: The same for tokens.
        values_b: As `keys_b`.
        values_h: As `keys_h`.
        values_q: As `keys_q`.
        DIM: D.
        BLOCK_Q: Tokens of a tile.
        BLOCK_D: D rounded up to a power of two.
    """
    segment = tl.program_id(0)
    batch, head = (segment // n_heads).to(tl.int64), (segment % n_heads).to(tl.int64)
    tokens, dims = tl.program_id(1) * BLOCK_Q + tl.arange(0, BLOCK_Q), tl.arange(0, BLOCK_D)
    real = (tokens < tl.load(new_lengths + batch))[:, None] & (dims < DIM)[None, :]
    slots = tl.load(starts + segment) + tl.load(lengths + segment) + tokens
    to = slots[:, None] * DIM + dims[None, :]
    of_key = batch * keys_b + head * keys_h + tokens.to(tl.int64)[:, None] * keys_q + dims[None, :]
    tl.store(keys + to, tl.load(new_keys + of_key, real, 0), real)
    of_value = batch * values_b + head * values_h + tokens.to(tl.int64)[:, None] * values_q + dims[None, :]
    tl.store(values + to, tl.load(new_values + of_value, real, 0), real)


def append(
    keys: Tensor, values: Tensor, segments: Segments, new_keys: Tensor, new_values: Tensor, new_lengths: Tensor
) -> None:
    """See `kernels.append`; what is not on the keys' device is copied there."""
    new_keys, new_values = (new if new.stride(3) == 1 else new.contiguous() for new in (new_keys, new_values))
    n_batch, n_heads, n_new, dim = new_keys.shape
    where, block = segments.to(keys.device), tile_tokens(n_new, dim)
    append_kernel[n_batch * n_heads, triton.cdiv(n_new, block)](
        *(keys, values, where.starts, where.lengths, new_keys, new_values),
        *(new_lengths.to(keys.device, non_blocking=True), n_heads, *new_keys.stride()[:3], *new_values.stride()[:3]),
        DIM=dim,
        BLOCK_Q=block,
        BLOCK_D=power_of_two(dim),
        num_warps=1 if n_new == 1 else 4,
    )


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    strides = ("keys_b", "keys_h", "keys_q", "values_b", "values_h", "values_q")
    tables = dict.fromkeys(("starts", "lengths", "new_lengths"), "*i64")
    counts = dict.fromkeys(("n_heads", *strides), "i32")
    for name in ("fp32", "fp16", "bf16"):
        for dim in (64, 80, 96, 128, 256):
            for block, warps in ((1, 1), (tile_tokens(2, dim), 4)):
                types = {**dict.fromkeys(("keys", "values", "new_keys", "new_values"), f"*{name}"), **tables, **counts}
                sizes = {"DIM": dim, "BLOCK_Q": block, "BLOCK_D": power_of_two(dim)}
                yield Case(f"append-{name}-d{dim}-q{block}", append_kernel, types, sizes, {"num_warps": warps})
