"""Selection in Triton: a radix select for each head, one program a head."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import Case
from .naive import Kept

BLOCK_T = 4096
"""Positions of a block: 8 in each of a program's 512 threads."""
WARPS = 16


@triton.jit
def _places(bits: tl.tensor) -> tl.tensor:
    """The bits of float32 scores as unsigned integers that are the smaller, the higher a score is.

    Positive numbers are ordered as their bits are, negative ones the other way round. -0.0 is made 0.0, which it
    equals.
    """
    bits = tl.where(bits == -2147483648, 0, bits)
    return tl.where(bits < 0, bits, bits ^ 0x7FFFFFFF).to(tl.uint32, bitcast=True)


@triton.jit
def _total(flags: tl.tensor, n_tokens: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """How many of the flags are set."""
    total = tl.full([], 0, tl.int32)
    for begin in range(0, n_tokens, BLOCK):
        tokens = begin + tl.arange(0, BLOCK)
        total += tl.sum(tl.load(flags + tokens, tokens < n_tokens, 0).to(tl.int32))
    return total


@triton.jit
def _digit_counts(
    row: tl.tensor,
    protected: tl.tensor,
    n_tokens: tl.tensor,
    wanted: tl.tensor,
    prefix: tl.tensor,
    SHIFT: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """How many candidates whose higher digits are the prefix's have each digit, int32 [256]."""
    counts = tl.zeros([256], tl.int32)
    for begin in range(0, n_tokens, BLOCK):
        tokens = begin + tl.arange(0, BLOCK)
        inside = tokens < n_tokens
        candidate = inside & (tl.load(protected + tokens, inside, 2) == wanted)
        place = _places(tl.load(row + tokens, inside, 0))
        if SHIFT < 24:
            candidate &= (place >> (SHIFT + 8)) == (prefix >> (SHIFT + 8))
        counts += tl.histogram(((place >> SHIFT) & 255).to(tl.int32), 256, candidate)
    return counts


@triton.jit
def _last_place(
    row: tl.tensor,
    protected: tl.tensor,
    n_tokens: tl.tensor,
    wanted: tl.tensor,
    needed: tl.tensor,
    BLOCK: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """The place of the last candidate that is kept, and how many of the candidates that tie with it are."""
    digits = tl.arange(0, 256)
    place = tl.full([], 0, tl.uint32)
    for step in tl.static_range(4):
        counts = _digit_counts(row, protected, n_tokens, wanted, place, 24 - 8 * step, BLOCK)
        digit = tl.sum((tl.cumsum(counts, 0) < needed).to(tl.int32))
        needed -= tl.sum(tl.where(digits < digit, counts, 0))
        place |= digit.to(tl.uint32) << (24 - 8 * step)
    return place, needed


@triton.jit
def select_kernel(
    scores: tl.tensor,
    protected: tl.tensor,
    counts: tl.tensor,
    offsets: tl.tensor,
    mask: tl.tensor,
    positions: tl.tensor,
    n_rows: tl.tensor,
    n_heads: tl.tensor,
    n_tokens: tl.tensor,
    stride_l: tl.tensor,
    stride_b: tl.tensor,
    stride_h: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """The mask [L, B, H, T] and the positions, ascending in each head, of the `counts` best scores [L, B, H, T].

    Grid: (L * B * H,). Scores are read as the bits of float32. Where fewer are kept than are protected, the
    candidates are the protected ones; elsewhere those that are not, and all protected ones are kept besides.

    Reads a head's scores five times, of which four come from the L2 cache: in four passes the last place that is kept
    is found digit by digit, and the fifth writes. The protected mask is read six times. Digits of eight bits, since
    the cost of a histogram grows with its bins. One program a head, because ties are broken by position and positions
    are written in order: both are running sums along the context.
    """
    segment = tl.program_id(0).to(tl.int64)
    head, batch, layer = segment % n_heads, segment // n_heads % n_rows, segment // n_heads // n_rows
    row = scores + layer * stride_l + batch * stride_b + head * stride_h
    count = tl.load(counts + segment).to(tl.int32)
    n_protected = _total(protected, n_tokens, BLOCK)
    wanted = (count <= n_protected).to(tl.int32)
    needed = tl.where(wanted == 1, count, count - n_protected)
    last, ties = _last_place(row, protected, n_tokens, wanted, needed, BLOCK)
    written = tl.load(offsets + segment)
    for begin in range(0, n_tokens, BLOCK):
        tokens = begin + tl.arange(0, BLOCK)
        inside = tokens < n_tokens
        guarded = tl.load(protected + tokens, inside, 0)
        candidate = inside & (guarded == wanted)
        place = _places(tl.load(row + tokens, inside, 0))
        tie = (candidate & (place == last)).to(tl.int32)
        first_ties = (tie == 1) & (tl.cumsum(tie, 0) <= ties)
        kept = (candidate & (place < last)) | first_ties | (guarded > wanted)
        rank = tl.cumsum(kept.to(tl.int32), 0)
        tl.store(mask + segment * n_tokens + tokens, kept.to(tl.uint8), inside)
        tl.store(positions + written + rank - 1, tokens.to(tl.int64), kept)
        ties -= tl.sum(tie)
        written += tl.sum(kept.to(tl.int32))


def select_layers(scores: Tensor, counts: Tensor, protected: Tensor, block: int = BLOCK_T) -> list[Kept]:
    """A selection for each layer; see `kernels.select.select_layers`. Copies scores whose T are not side by side.

    Args:
        scores: float32 [L, B, H, T].
        counts: int64 [L, B', H].
        protected: bool [T].
        block: Positions of a block, a power of two.

    Raises:
        ValueError: the scores are of another type, whose bits are ordered in another way.
    """
    if scores.dtype != torch.float32:
        raise ValueError(f"scores are float32, not {scores.dtype}")
    (n_layers, n_rows, n_heads), n_tokens, device = counts.shape, scores.shape[-1], scores.device
    scores = (scores if scores.stride(3) == 1 else scores.contiguous()).expand(n_layers, n_rows, n_heads, n_tokens)
    on_host = counts.cpu()
    offsets = torch.zeros(counts.numel() + 1, dtype=torch.int64)
    offsets[1:] = on_host.flatten().cumsum(0)
    mask = torch.empty(scores.shape, dtype=torch.bool, device=device)
    positions = torch.empty(int(offsets[-1]), dtype=torch.int64, device=device)
    select_kernel[(counts.numel(),)](
        scores.view(torch.int32),
        protected.to(device).contiguous().view(torch.uint8),
        counts.to(device).contiguous(),
        offsets.to(device),
        mask.view(torch.uint8),
        positions,
        n_rows,
        n_heads,
        n_tokens,
        *scores.stride()[:3],
        BLOCK=block,
        num_warps=WARPS,
    )
    per_layer = positions.split(on_host.sum(dim=(1, 2)).tolist())
    starts = offsets.unfold(0, counts[0].numel() + 1, counts[0].numel())
    return [Kept(*layer) for layer in zip(mask, per_layer, starts - starts[:, :1], strict=True)]


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    pointers = {"scores": "*i32", "protected": "*u8", "counts": "*i64", "offsets": "*i64", "mask": "*u8"}
    integers = dict.fromkeys(("n_rows", "n_heads", "n_tokens", "stride_l", "stride_b", "stride_h"), "i32")
    types = {**pointers, "positions": "*i64", **integers}
    yield Case("select", select_kernel, types, {"BLOCK": BLOCK_T}, {"num_warps": WARPS})
