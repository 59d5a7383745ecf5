"""Ragged attention in Triton: flash decoding over work items that were shared out ahead of time."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..aot_case import Case
from ..backend import interprets
from ..form import Form
from ..segments import Segments
from ..work import power_of_two
from .merge import merge_kernel
from .plan import Plan, balanced
from .tiles import Tiles, merged_items, n_programs, tiles_for

DOT_TYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
"""Of the operands of dot products, by the keys' type."""
NO_WINDOW = 2**30
"""A window that no segment fills."""


@triton.jit(
    do_not_specialize=["n_items", "n_heads", "n_queries", "n_rows", "window"],
    do_not_specialize_on_alignment=["items", "of_program"],
)
def attend_kernel(
    query: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    starts: tl.tensor,
    lengths: tl.tensor,
    new_lengths: tl.tensor,
    items: tl.tensor,
    of_program: tl.tensor,
    partial: tl.tensor,
    sums: tl.tensor,
    n_items: tl.tensor,
    n_heads: tl.tensor,
    n_queries: tl.tensor,
    n_rows: tl.tensor,
    stride_b: tl.tensor,
    stride_h: tl.tensor,
    stride_q: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    window: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
    CAPPED: tl.constexpr,
    DOT: tl.constexpr,
) -> None:
    """Each item's output float32 [items, G * Q, D] and log-sum-exp float32 [items, G * Q], sinks left out.

    Reads keys and values [S, D] of the slots in use once for each tile of query rows, which is once for all query heads
    of a KV head while a step decodes, and writes G * Q * (D + 1) numbers an item. Grid: (programs, tiles of query
    rows). A program's items follow each other; one accumulator [rows, D] stays in registers throughout an item.

    Args:
        query: [B, HQ, Q, D], the numbers of a head side by side.
        keys: [S, D].
        values: [S, D].
        starts: int64 [B * H].
        lengths: int64 [B * H], the chunk included.
        new_lengths: int64 [B].
        items: int32 [3, n_items], see `plan.Plan`.
        of_program: int32 [programs + 1].
        partial: float32 [n_items, G * Q, D].
        sums: float32 [n_items, G * Q].
        n_items: Columns of `items`.
        n_heads: H.
        n_queries: Q.
        n_rows: G * Q.
        stride_b: Numbers from a row's query to the next row's.
        stride_h: The same for query heads.
        stride_q: The same for tokens.
        scale: Factor on the dot products.
        softcap: See `Form`, if CAPPED.
        window: See `Form`; NO_WINDOW where there is none.
        DIM: D.
        BLOCK_R: Query rows of a tile.
        BLOCK_T: Slots of a tile.
        BLOCK_D: D rounded up to a power of two.
        CAPPED: Whether logits are capped.
        DOT: Type of the operands of dot products.
    """
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    head, token = row // n_queries, row % n_queries
    dims, steps = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_T)
    of_row = (row < n_rows)[:, None] & (dims < DIM)[None, :]
    group = n_rows // n_queries
    for item in range(tl.load(of_program + tl.program_id(0)), tl.load(of_program + tl.program_id(0) + 1)):
        segment = tl.load(items + item)
        batch, kv_head = segment // n_heads, segment % n_heads
        length, new = tl.load(lengths + segment).to(tl.int32), tl.load(new_lengths + batch).to(tl.int32)
        begin, stop = tl.load(items + n_items + item), tl.minimum(tl.load(items + 2 * n_items + item), length)
        own = tl.minimum(length - new + token, length - 1)  # the slot of each query's own token
        begin = tl.maximum(begin, length - tl.maximum(new, 1) - window + 1)
        at = batch.to(tl.int64) * stride_b + (kv_head * group + head)[:, None].to(tl.int64) * stride_h
        q = tl.load(query + at + token[:, None] * stride_q + dims[None, :], of_row, 0).to(DOT)
        base = tl.load(starts + segment) * DIM
        top = tl.full([BLOCK_R], float("-inf"), tl.float32)
        total = tl.zeros([BLOCK_R], tl.float32)
        out = tl.zeros([BLOCK_R, BLOCK_D], tl.float32)
        for slot in range(begin, stop, BLOCK_T):
            slots = slot + steps
            place = base + slots.to(tl.int64)[:, None] * DIM + dims[None, :]
            held = (slots < stop)[:, None] & (dims < DIM)[None, :]
            k = tl.load(keys + place, held, 0).to(DOT)
            logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            if CAPPED:
                logits = softcap * (1 - 2 / (tl.exp(2 * logits / softcap) + 1))  # softcap * tanh(logits / softcap)
            seen = (slots < stop)[None, :] & (slots[None, :] <= own[:, None])
            seen &= slots[None, :] > own[:, None] - window
            logits = tl.where(seen, logits, float("-inf"))
            higher = tl.maximum(top, tl.max(logits, axis=1))
            finite = tl.where(higher == float("-inf"), 0, higher)
            weights, kept = tl.exp(logits - finite[:, None]), tl.exp(top - finite)
            v = tl.load(values + place, held, 0).to(DOT)
            total = total * kept + tl.sum(weights, axis=1)
            out = out * kept[:, None] + tl.dot(weights.to(DOT), v, input_precision="ieee")
            top = higher
        some = tl.where(total > 0, total, 1)
        result = (item * n_rows + row).to(tl.int64)
        tl.store(partial + result[:, None] * DIM + dims[None, :], out / some[:, None], of_row)
        tl.store(sums + result, tl.where(total > 0, top + tl.log(some), float("-inf")), row < n_rows)


def ragged_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    segments: Segments,
    new_lengths: Tensor,
    form: Form,
    plan: Plan | None = None,
    tiles: Tiles | None = None,
) -> tuple[Tensor, Tensor]:
    """See `kernels.ragged_attention`: the output [B, Q, HQ, D] and the log-sum-exp [B, HQ, Q].

    Args:
        query: [B, HQ, Q, D].
        keys: [S, D].
        values: [S, D].
        segments: On any device; what is not on the query's is copied.
        new_lengths: int64 [B], on any device.
        form: Scale and options.
        plan: Of the segments, on the query's device; None = it is made here, from lengths on the CPU.
        tiles: None = for a card.
    """
    query, device = query if query.stride(3) == 1 else query.contiguous(), query.device
    n_batch, n_query_heads, n_queries, dim = query.shape
    n_heads = segments.starts.shape[1]
    n_rows = n_query_heads // n_heads * n_queries
    tiles = tiles or tiles_for(keys.dtype, dim, n_rows)
    n_row_tiles = triton.cdiv(n_rows, tiles.rows)
    if plan is None:
        plan = balanced(segments.lengths.cpu(), n_programs(device, n_row_tiles)).to(device)
    lifted = keys.dtype == torch.bfloat16 and interprets()  # the interpreter does no arithmetic in bfloat16
    n_items, padded = plan.items.shape[1], power_of_two(dim)
    partial = torch.empty(n_items, n_rows, dim, dtype=torch.float32, device=device)
    sums = torch.empty(n_items, n_rows, dtype=torch.float32, device=device)
    where = segments.to(device)
    new_lengths = new_lengths.to(device, non_blocking=True)
    attend_kernel[plan.n_programs, n_row_tiles](
        *(query, keys, values, where.starts, where.lengths, new_lengths, plan.items, plan.of_program, partial, sums),
        *(
            n_items,
            n_heads,
            n_queries,
            n_rows,
            *query.stride()[:3],
            form.scale,
            form.softcap or 1.0,
            form.window or NO_WINDOW,
        ),
        DIM=dim,
        BLOCK_R=tiles.rows,
        BLOCK_T=tiles.slots,
        BLOCK_D=padded,
        CAPPED=form.softcap is not None,
        DOT=tl.float32 if lifted else DOT_TYPES[keys.dtype],
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )
    shape = n_batch, n_queries, n_query_heads, dim
    out = torch.empty(shape, dtype=torch.float32 if lifted else query.dtype, device=device)
    lse = torch.empty(n_batch, n_query_heads, n_queries, dtype=torch.float32, device=device)
    merge_kernel[n_batch * n_heads, triton.cdiv(n_rows, tiles.merged_rows)](
        *(partial, sums, plan.of_segment, lse if form.sinks is None else form.sinks, out, lse),
        *(n_heads, n_queries, n_rows),
        DIM=dim,
        BLOCK_R=tiles.merged_rows,
        BLOCK_I=merged_items(padded),
        BLOCK_D=padded,
        SINKS=form.sinks is not None,
        num_warps=4,
    )
    return out.to(query.dtype), lse


NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
"""Triton's names of the types that keys may have."""


def cases() -> Iterator[Case]:
    """Every shipped configuration."""
    counts = dict.fromkeys(("n_items", "n_heads", "n_queries", "n_rows", "stride_b", "stride_h", "stride_q"), "i32")
    tables = {**dict.fromkeys(("starts", "lengths", "new_lengths"), "*i64"), "items": "*i32", "of_program": "*i32"}
    results = {"partial": "*fp32", "sums": "*fp32"}
    options = {"scale": "fp32", "softcap": "fp32", "window": "i32"}
    for dtype, name in NAMES.items():
        for dim in (64, 80, 96, 128, 256):
            padded = power_of_two(dim)
            types = {**dict.fromkeys(("query", "keys", "values"), f"*{name}"), **tables, **results, **counts, **options}
            of_rows = {tiles.rows: tiles for tiles in (tiles_for(dtype, dim, n) for n in (16, 32, 64))}
            for rows, tiles in of_rows.items():
                sizes = {"DIM": dim, "BLOCK_R": rows, "BLOCK_T": tiles.slots, "BLOCK_D": padded}
                for capped in (False, True):
                    flags = {"CAPPED": capped, "DOT": DOT_TYPES[dtype]}
                    launch = {"num_warps": tiles.warps, "num_stages": tiles.stages}
                    called = f"ragged-attention-{name}-d{dim}-r{rows}{'-capped' if capped else ''}"
                    yield Case(called, attend_kernel, types, {**sizes, **flags}, launch)
            merged = {"of_segment": "*i32", "sinks": f"*{name}", "out": f"*{name}", "lse": "*fp32", **results}
            merged |= dict.fromkeys(("n_heads", "n_queries", "n_rows"), "i32")
            for sinks in (False, True):  # without sinks the launch hands over the log-sum-exps in their place
                kinds = merged if sinks else {**merged, "sinks": "*fp32"}
                sizes = {"DIM": dim, "BLOCK_R": 1, "BLOCK_I": merged_items(padded), "BLOCK_D": padded, "SINKS": sinks}
                called = f"ragged-attention-merge-{name}-d{dim}{'-sinks' if sinks else ''}"
                yield Case(called, merge_kernel, kinds, sizes, {"num_warps": 4})
