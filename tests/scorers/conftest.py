"""Layers made up here, and attention in float64, one number at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.scorers.base import LayerView

SHAPES = {  # B, H, G, T, D
    "B1-H1-G1-T41-D8": (1, 1, 1, 41, 8),
    "B2-H3-G2-T29-D10": (2, 3, 2, 29, 10),
    "B1-H2-G3-T13-D6": (1, 2, 3, 13, 6),
    "B3-H1-G5-T2-D4": (3, 1, 5, 2, 4),
    "B1-H2-G2-T1-D4": (1, 2, 2, 1, 4),
}


@dataclass(frozen=True)
class Layer:
    """A whole layer; `view` is what a scorer that declared `n` queries sees of it."""

    keys: Tensor
    values: Tensor
    queries: Tensor
    group: int

    def view(self, n: int | str = "all", **more: Any) -> LayerView:
        last = self.n_tokens if n == "all" else min(int(n), self.n_tokens)
        queries = self.queries[:, :, self.n_tokens - last :]
        return LayerView(layer=0, keys=self.keys, values=self.values, queries=queries, **more)

    def row(self, b: int) -> "Layer":
        return Layer(self.keys[b : b + 1], self.values[b : b + 1], self.queries[b : b + 1], self.group)

    @property
    def n_tokens(self) -> int:
        return self.keys.shape[2]

    def attention(self, b: int, head: int, i: int) -> list[float]:
        """Softmax weights over tokens 0..i of the query of query head `head` at position i."""
        query = self.queries[b, head, i].double().tolist()
        keys = self.keys[b, head // self.group].double().tolist()
        logits = [sum(x * y for x, y in zip(query, keys[j], strict=True)) / math.sqrt(len(query)) for j in range(i + 1)]
        exps = [math.exp(logit - max(logits)) for logit in logits]
        return [e / sum(exps) for e in exps]


def made(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Layer:
    n_batch, n_heads, group, n_tokens, dim = shape
    generator = torch.Generator().manual_seed(seed + sum(shape))

    def draw(*size: int) -> Tensor:
        return (1.5 * torch.randn(*size, generator=generator)).to(dtype)

    return Layer(
        keys=draw(n_batch, n_heads, n_tokens, dim),
        values=draw(n_batch, n_heads, n_tokens, dim),
        queries=draw(n_batch, n_heads * group, n_tokens, dim),
        group=group,
    )


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def layer(request: pytest.FixtureRequest) -> Layer:
    return made(request.param)


@pytest.fixture
def make_layer() -> Callable[..., Layer]:
    return made


@pytest.fixture
def assert_scores() -> Callable[[Tensor, Any], None]:
    """float32, the right shape, and the numbers expected, nested lists [B][H][T]."""

    def assert_scores(got: Tensor, expected: Any, rtol: float = 2e-5) -> None:
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=rtol)

    return assert_scores
