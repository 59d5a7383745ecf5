"""What the stores are held against: the tokens of every row and head, attended in float64, one query at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional

NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """Sizes of one layer."""

    n_batch: int
    n_tokens: int
    n_heads: int
    n_query_heads: int
    dim: int

    def __str__(self) -> str:
        return f"B{self.n_batch}-T{self.n_tokens}-H{self.n_heads}-HQ{self.n_query_heads}-D{self.dim}"

    def context(self, rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, H, T, D]."""
        random = torch.Generator().manual_seed(seed)
        shape = (rows, self.n_heads, self.n_tokens, self.dim)
        return torch.randn(shape, generator=random), torch.randn(shape, generator=random)

    def chunk(self, n_new: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, HQ, Q, D], a transposed view as a model gives them; keys and values [B, H, Q, D]."""
        random = torch.Generator().manual_seed(1000 + seed)
        query = torch.randn(self.n_batch, n_new, self.n_query_heads, self.dim, generator=random).transpose(1, 2)
        shape = (self.n_batch, n_new, self.n_heads, self.dim)
        keys, values = torch.randn(shape, generator=random), torch.randn(shape, generator=random)
        return query, keys.transpose(1, 2), values.transpose(1, 2)


CASES = [
    Case(1, 63, 1, 1, 64),
    Case(1, 40, 3, 18, 28),
    Case(2, 33, 2, 6, 20),
    Case(3, 18, 4, 4, 12),
    Case(3, 9, 1, 7, 12),
    Case(2, 21, 4, 20, 20),
]


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


class Remembered:
    """The tokens of each (row, head). What attention over them gives is worked out from the definition."""

    def __init__(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        both = torch.stack([keys, values]).double()
        self.slots = [
            [both[:, b, h, mask[b, h].nonzero().flatten()] for h in range(keys.shape[1])] for b in range(keys.shape[0])
        ]

    @property
    def n_slots(self) -> int:
        return sum(head.shape[1] for row in self.slots for head in row)

    def append(self, keys: Tensor, values: Tensor, new: Tensor) -> None:
        both = torch.stack([keys, values]).double()
        self.slots = [
            [torch.cat([head, both[:, b, h, : int(new[b])]], dim=1) for h, head in enumerate(row)]
            for b, row in enumerate(self.slots)
        ]

    def attend(self, query: Tensor, new: Tensor, scale: float) -> Tensor:
        """float64 [B, Q, HQ, D], one query at a time; NaN where a query is padding."""

        def attention(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            rows = []
            for i, one in enumerate(query):
                n_seen = len(keys) - len(query) + i + 1
                logits = (keys[:n_seen] @ one) * scale
                weights = (logits - logits.max()).exp()
                rows.append(weights @ values[:n_seen] / weights.sum())
            return torch.stack(rows)

        return self._over_heads(query.double(), new, attention)

    def attend_by_torch(self, query: Tensor, new: Tensor, scale: float) -> Tensor:
        """The same by torch's scaled_dot_product_attention, in the dtype of the query."""

        def attention(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            visible = torch.ones(len(query), len(keys), dtype=torch.bool).tril(len(keys) - len(query))
            one = (None, None)
            out = functional.scaled_dot_product_attention(
                query[one], keys[one].to(query.dtype), values[one].to(query.dtype), attn_mask=visible, scale=scale
            )
            return out[0, 0]

        return self._over_heads(query, new, attention)

    def _over_heads(self, query: Tensor, new: Tensor, attention: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        n_batch, n_query_heads, n_queries, dim = query.shape
        group = n_query_heads // len(self.slots[0])
        out = torch.full((n_batch, n_queries, n_query_heads, dim), NAN, dtype=query.dtype)
        for b, n_new in enumerate(new.tolist()):
            for q_head in range(n_query_heads) if n_new else ():
                keys, values = self.slots[b][q_head // group]
                out[b, :n_new, q_head] = attention(query[b, q_head, :n_new], keys, values)
        return out


@pytest.fixture(scope="session")
def remember() -> type[Remembered]:
    return Remembered


@pytest.fixture(scope="session")
def assert_same() -> Callable[..., None]:
    """Equal on every query that is not padding (there the expectation is NaN), and NaN nowhere else."""

    def assert_same(got: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
        real = ~expected.isnan()
        assert got.shape == expected.shape
        torch.testing.assert_close(got[real].double(), expected[real].double(), atol=atol, rtol=atol)

    return assert_same


@pytest.fixture(autouse=True)
def uninitialised_memory_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is allocated without being written holds NaN, so that reading it shows."""

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def make_poisoned(*args: object, **kwargs: object) -> Tensor:
            tensor = make(*args, **kwargs)
            return tensor.fill_(NAN) if tensor.is_floating_point() else tensor.fill_(99)

        return make_poisoned

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    for tensor in (torch.empty(2), torch.empty_like(torch.zeros(2)), torch.zeros(2).new_empty(2)):
        assert tensor.isnan().all()
