"""Window attention in Triton: a pass for the log-sum-exp of each query, and a pass for the means of the columns."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import SHIPPED, Case
from ..backend import interprets
from ..form import Form, log_sum_exp
from ..work import chunk_of, power_of_two
from .tiles import Tiles


@triton.jit
def _rows(
    group: tl.tensor, n_window: tl.tensor, parts: tl.tensor, ROWS: tl.constexpr, WINDOW: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Of each row of this program's block: its query head in the group, its query in the window, whether it exists."""
    block, rows = tl.program_id(0), tl.arange(0, ROWS)
    member = block // parts * (ROWS // WINDOW) + rows // WINDOW
    query = block % parts * WINDOW + rows % WINDOW
    return member, query, (member < group) & (query < n_window)


@triton.jit
def _queries(
    queries: tl.tensor,
    member: tl.tensor,
    query: tl.tensor,
    exists: tl.tensor,
    stride_h: tl.tensor,
    stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    LIFT: tl.constexpr,
) -> tl.tensor:
    """[ROWS, BLOCK_D]: the queries of the rows; LIFT makes float32 of them."""
    dims = tl.arange(0, BLOCK_D)[None, :]
    at = queries + (member.to(tl.int64) * stride_h + query.to(tl.int64) * stride_t)[:, None] + dims
    q = tl.load(at, exists[:, None] & (dims < DIM), 0)
    if LIFT:
        q = q.to(tl.float32)
    return q


@triton.jit
def _logits(
    q: tl.tensor,
    keys: tl.tensor,
    tokens: tl.tensor,
    n_tokens: tl.tensor,
    stride_t: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    LIFT: tl.constexpr,
    CAPPED: tl.constexpr,
) -> tl.tensor:
    """float32 [ROWS, TOKENS]: logits of queries on some tokens, whose keys are read here."""
    dims = tl.arange(0, BLOCK_D)[None, :]
    real = (tokens < n_tokens)[:, None] & (dims < DIM)
    k = tl.load(keys + tokens.to(tl.int64)[:, None] * stride_t + dims, real, 0)
    if LIFT:
        k = k.to(tl.float32)
    logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    if CAPPED:
        logits = softcap * (1 - 2 / (tl.exp(2 * logits / softcap) + 1))  # softcap * tanh(logits / softcap)
    return logits


@triton.jit
def log_sum_exp_kernel(
    queries: tl.tensor,
    keys: tl.tensor,
    sums: tl.tensor,
    n_heads: tl.tensor,
    group: tl.tensor,
    n_window: tl.tensor,
    n_tokens: tl.tensor,
    parts: tl.tensor,
    chunk: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    q_stride_b: tl.tensor,
    q_stride_h: tl.tensor,
    q_stride_t: tl.tensor,
    k_stride_b: tl.tensor,
    k_stride_h: tl.tensor,
    k_stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ROWS: tl.constexpr,
    WINDOW: tl.constexpr,
    TOKENS: tl.constexpr,
    LIFT: tl.constexpr,
    CAPPED: tl.constexpr,
) -> None:
    """Log-sum-exp of the visible logits of each query over chunks of tokens, float32 [B, HQ, W, chunks]; -inf where a
    query sees none of a chunk.

    Queries [B, HQ, W, D] are those of the last W of T positions, keys [B, H, T, D]. Grid: (row blocks, B * H, chunks).
    Each program reads its chunk of keys once, and row blocks that share keys run side by side, for the L2 cache.
    """
    segment, begin = tl.program_id(1).to(tl.int64), tl.program_id(2) * chunk
    batch, head = segment // n_heads, segment % n_heads
    member, query, exists = _rows(group, n_window, parts, ROWS, WINDOW)
    queries += batch * q_stride_b + head * group * q_stride_h
    q = _queries(queries, member, query, exists, q_stride_h, q_stride_t, DIM, BLOCK_D, LIFT)
    k_head = keys + batch * k_stride_b + head * k_stride_h
    largest, total = tl.full([ROWS], float("-inf"), tl.float32), tl.zeros([ROWS], tl.float32)
    for first in range(begin, tl.minimum(begin + chunk, n_tokens), TOKENS):
        tokens = first + tl.arange(0, TOKENS)
        logits = _logits(q, k_head, tokens, n_tokens, k_stride_t, scale, softcap, DIM, BLOCK_D, LIFT, CAPPED)
        seen = (tokens[None, :] <= (n_tokens - n_window + query)[:, None]) & (tokens < n_tokens)[None, :]
        logits = tl.where(seen, logits, float("-inf"))
        larger = tl.maximum(largest, tl.max(logits, axis=1))
        shift = tl.where(larger == float("-inf"), 0.0, larger)  # nothing seen yet: -inf - -inf would be NaN
        total = total * tl.exp(largest - shift) + tl.sum(tl.exp(logits - shift[:, None]), axis=1)
        largest = larger
    sums += ((segment * group + member) * n_window + query) * tl.num_programs(2) + tl.program_id(2)
    tl.store(sums, largest + tl.log(tl.where(total > 0, total, 1.0)), exists)  # -inf where none is seen


@triton.jit
def column_means_kernel(
    queries: tl.tensor,
    keys: tl.tensor,
    lse: tl.tensor,
    means: tl.tensor,
    n_heads: tl.tensor,
    group: tl.tensor,
    n_window: tl.tensor,
    n_tokens: tl.tensor,
    parts: tl.tensor,
    chunk: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    q_stride_b: tl.tensor,
    q_stride_h: tl.tensor,
    q_stride_t: tl.tensor,
    k_stride_b: tl.tensor,
    k_stride_h: tl.tensor,
    k_stride_t: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ROWS: tl.constexpr,
    WINDOW: tl.constexpr,
    TOKENS: tl.constexpr,
    LIFT: tl.constexpr,
    CAPPED: tl.constexpr,
) -> None:
    """The queries' softmax weights on the first `n_tokens` positions, which all of them see, added up over each part
    of the window and divided by W: float32 [parts, B, HQ, n_tokens], given the log-sum-exps float32 [B, HQ, W].

    Grid and reading as in the first pass, without the window's own keys. Weights live in registers only.
    """
    segment, begin = tl.program_id(1).to(tl.int64), tl.program_id(2) * chunk
    batch, head = segment // n_heads, segment % n_heads
    member, query, exists = _rows(group, n_window, parts, ROWS, WINDOW)
    q_head = queries + batch * q_stride_b + head * group * q_stride_h
    q = _queries(q_head, member, query, exists, q_stride_h, q_stride_t, DIM, BLOCK_D, LIFT)
    k_head = keys + batch * k_stride_b + head * k_stride_h
    own_lse = tl.load(lse + (segment * group + member) * n_window + query, exists, float("inf"))  # exp(-inf) = 0
    members = tl.program_id(0) // parts * (ROWS // WINDOW) + tl.arange(0, ROWS // WINDOW)
    part = (tl.program_id(0) % parts).to(tl.int64) * tl.num_programs(1)
    out = means + (((part + segment) * group + members) * n_tokens)[:, None]
    for first in range(begin, tl.minimum(begin + chunk, n_tokens), TOKENS):
        tokens = first + tl.arange(0, TOKENS)
        logits = _logits(q, k_head, tokens, n_tokens, k_stride_t, scale, softcap, DIM, BLOCK_D, LIFT, CAPPED)
        weights = tl.exp(logits - own_lse[:, None])
        columns = tl.sum(tl.reshape(weights, [ROWS // WINDOW, WINDOW, TOKENS]), axis=1) / n_window
        tl.store(out + tokens[None, :], columns, (members < group)[:, None] & (tokens < n_tokens)[None, :])


def window_attention(
    queries: Tensor, keys: Tensor, form: Form, tiles: Tiles | None = None, chunk: int | None = None
) -> Tensor:
    """float32 [B, H, G, T - W]; see `kernels.window_attention`.

    Args:
        queries: [B, HQ, W, D]; copied only if the numbers of a query are not side by side.
        keys: [B, H, T, D]; likewise.
        form: Scale, softcap and sinks, which join the log-sum-exps between the two passes.
        tiles: None = for a card.
        chunk: Tokens of a program; None = for a card.
    """
    queries, keys = (each if each.stride(3) == 1 else each.contiguous() for each in (queries, keys))
    (n_batch, n_heads, n_tokens, dim), n_window = keys.shape, queries.shape[2]
    group, n_before = queries.shape[1] // n_heads, n_tokens - n_window
    tiles = tiles or Tiles.for_card(keys.itemsize, dim, group, n_window, capped=form.softcap is not None)
    blocks, parts = tiles.blocks(group, n_window), tiles.parts(n_window)
    chunk = chunk or chunk_of(n_tokens, tiles.tokens, blocks * n_batch * n_heads)
    sizes = {"DIM": dim, "BLOCK_D": power_of_two(dim), **_constants(tiles)}
    sizes |= {"LIFT": keys.dtype == torch.bfloat16 and interprets(), "CAPPED": form.softcap is not None}
    sizes |= {"num_warps": tiles.warps}
    rest = parts, chunk, form.scale, form.softcap or 1.0, *queries.stride()[:3], *keys.stride()[:3]
    n_chunks = triton.cdiv(n_tokens, chunk)
    sums = keys.new_empty(*queries.shape[:3], n_chunks, dtype=torch.float32)
    grid = blocks, n_batch * n_heads, n_chunks
    log_sum_exp_kernel[grid](queries, keys, sums, n_heads, group, n_window, n_tokens, *rest, **sizes)
    means = keys.new_empty(parts, n_batch, n_heads, group, n_before, dtype=torch.float32)
    if n_before:
        lse = log_sum_exp(sums, None if form.sinks is None else form.sinks.float().view(1, -1, 1))
        grid = blocks, n_batch * n_heads, triton.cdiv(n_before, chunk)
        column_means_kernel[grid](queries, keys, lse, means, n_heads, group, n_window, n_before, *rest, **sizes)
    return means[0] if parts == 1 else means.sum(dim=0)


def _constants(tiles: Tiles) -> dict[str, int]:
    return {"ROWS": tiles.rows, "WINDOW": tiles.window, "TOKENS": tiles.tokens}


def cases() -> Iterator[Case]:
    """The largest tiles of each type and head dim, and the smallest ones once."""
    strides = (f"{each}_stride_{axis}" for each in "qk" for axis in "bht")
    names = ("n_heads", "group", "n_window", "n_tokens", "parts", "chunk", *strides)
    others = {**dict.fromkeys(names, "i32"), "scale": "fp32", "softcap": "fp32"}
    others |= dict.fromkeys(("sums", "lse", "means"), "*fp32")
    for dtype, dim, group, n_window in (*((*shipped, 4, 32) for shipped in SHIPPED), ("bf16", 128, 1, 1)):
        types = {"queries": f"*{dtype}", "keys": f"*{dtype}", **others}
        for capped in (False, True):
            tiles = Tiles.for_card(4 if dtype == "fp32" else 2, dim, group, n_window, capped=capped)
            for what, kernel in (("lse", log_sum_exp_kernel), ("means", column_means_kernel)):
                constants = {"DIM": dim, "BLOCK_D": power_of_two(dim), **_constants(tiles), "LIFT": False}
                name = f"window-{what}-{dtype}-d{dim}-g{group}-w{n_window}{'-capped' if capped else ''}"
                yield Case(name, kernel, types, constants | {"CAPPED": capped}, {"num_warps": tiles.warps})
