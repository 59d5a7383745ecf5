"""Window attention in both forms against softmax in float64, one query at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.window_attention import window_attention
from lukv_bench.kernels.window_attention.tiles import Tiles
from lukv_bench.kernels.window_attention.triton import window_attention as in_triton


@dataclass(frozen=True)
class Case:
    batch: int
    heads: int
    group: int
    tokens: int
    window: int
    dim: int
    dtype: torch.dtype
    tiles: Tiles | None = None
    chunk: int | None = None
    size: float = 1.0
    softcap: float | None = None
    sinks: bool = False


CASES = [
    Case(1, 1, 1, 33, 1, 64, torch.float32),
    Case(1, 2, 3, 150, 32, 80, torch.bfloat16, Tiles(64, 32, 64, 4), 64),  # two row blocks, three chunks
    Case(2, 1, 4, 70, 5, 96, torch.float16, Tiles(32, 8, 128, 4), 128),
    Case(1, 1, 7, 90, 40, 128, torch.float32, Tiles(128, 16, 128, 4), 128),  # a window in three parts
    Case(1, 1, 8, 64, 9, 256, torch.bfloat16, Tiles(128, 16, 64, 4), 64),
    Case(1, 1, 3, 100, 33, 64, torch.float16, Tiles(64, 64, 16, 4), 80, size=8),  # a last chunk that few queries see
    Case(1, 2, 3, 50, 7, 64, torch.float32, Tiles(32, 8, 16, 4), 32, size=2, softcap=2.0),
    Case(2, 2, 2, 45, 12, 80, torch.bfloat16, Tiles(16, 8, 32, 4), 32, size=2, sinks=True),
    Case(1, 1, 4, 60, 20, 128, torch.float16, Tiles(64, 16, 32, 4), 32, size=4, softcap=1.5, sinks=True),
    Case(1, 2, 1, 16, 16, 64, torch.float32, Tiles(16, 16, 16, 4), 16),  # nothing is before the window
]


def by_hand(queries: Tensor, keys: Tensor, form: Form) -> Tensor:
    (n_batch, n_heads, n_tokens, _), n_window = keys.shape, queries.shape[2]
    group, n_before = queries.shape[1] // n_heads, n_tokens - n_window
    total = torch.zeros(n_batch, n_heads, group, n_before, dtype=torch.float64)
    for b in range(n_batch):
        for q_head in range(n_heads * group):
            h, member = divmod(q_head, group)
            for w in range(n_window):
                seen = keys[b, h, : n_before + w + 1].double()
                logits = seen @ queries[b, q_head, w].double() * form.scale
                if form.softcap is not None:
                    logits = form.softcap * (logits / form.softcap).tanh()
                if form.sinks is not None:
                    logits = torch.cat([logits, form.sinks[q_head : q_head + 1].double()])
                total[b, h, member] += logits.softmax(0)[:n_before]
    return total / n_window


@pytest.mark.parametrize("case", CASES, ids=str)
def test_means_are_those_of_softmax(case: Case, amid_nan: Callable[[Tensor], Tensor]) -> None:
    random = torch.Generator().manual_seed(case.tokens)
    shape = case.batch, case.heads, case.tokens, case.dim
    keys = amid_nan((case.size * torch.randn(shape, generator=random)).to(case.dtype))
    q_shape = case.batch, case.heads * case.group, case.window, case.dim
    queries = amid_nan((case.size * torch.randn(q_shape, generator=random)).to(case.dtype))
    sinks = torch.randn(q_shape[1], generator=random).to(case.dtype) + 2 if case.sinks else None
    form = Form(case.dim**-0.5, softcap=case.softcap, sinks=sinks)
    expected = by_hand(queries, keys, form)
    for got in (
        window_attention(queries, keys, form),
        in_triton(queries, keys, form, case.tiles, case.chunk),
    ):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), expected, atol=1e-6, rtol=2e-5)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("dim", [64, 80, 128, 256])
def test_the_tiles_cover_every_group_and_window(itemsize: int, dim: int) -> None:
    for group in (1, 3, 4, 7, 8, 16):
        for n_window in (1, 5, 32, 64, 200):
            tiles = Tiles.for_card(itemsize, dim, group, n_window)
            members = tiles.rows // tiles.window
            n_member_blocks = tiles.blocks(group, n_window) // tiles.parts(n_window)
            assert members * n_member_blocks >= group
            assert tiles.window * tiles.parts(n_window) >= n_window
            assert tiles.rows >= 16


def test_a_form_with_a_window_is_refused() -> None:
    keys = torch.zeros(1, 1, 9, 4)
    with pytest.raises(ValueError, match="window of 5 tokens"):
        window_attention(keys[:, :, :2], keys, Form(1.0, window=5))
