"""Both stores over random sequences of everything that a store can do, against lists of tokens."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_store import RaggedStore, compact
from lukv_bench.kernels.select import Kept
from lukv_bench.kernels.shared_store import SharedStore, hide

H, HQ, D, SCALE = 2, 4, 3, 0.6
Token = tuple[int, Tensor, Tensor]
Store = RaggedStore | SharedStore


@dataclass
class Row:
    """One row as lists: the tokens of each head as (position, key, value), and how many were counted and appended."""

    heads: list[list[Token]]
    n_positions: int
    n_appended: int = 0


@dataclass
class Model:
    """What every store must be equal to."""

    rows: list[Row]

    def append(self, keys: Tensor, values: Tensor, new: Tensor) -> None:
        for row, k, v, n in zip(self.rows, keys, values, new.tolist(), strict=True):
            for h, head in enumerate(row.heads):
                head += [(row.n_positions + i, k[h, i], v[h, i]) for i in range(n)]
            row.n_positions += n
            row.n_appended += n

    def take_back(self, n: Tensor) -> None:
        for row, taken in zip(self.rows, n.tolist(), strict=True):
            row.n_positions -= taken
            row.n_appended -= taken
            row.heads = [[token for token in head if token[0] < row.n_positions] for head in row.heads]

    def keep(self, mask: Tensor) -> None:
        for row, row_mask in zip(self.rows, mask, strict=True):
            row.heads = [[token for token in row.heads[h] if row_mask[h, token[0]]] for h in range(H)]
            row.n_appended = 0

    def keep_rows(self, rows: list[int]) -> None:
        self.rows = [self.rows[place] for place in rows]

    @property
    def positions(self) -> list[list[list[int]]]:
        return [[[position for position, _, _ in head] for head in row.heads] for row in self.rows]

    @property
    def mask(self) -> Tensor:
        mask = torch.zeros(len(self.rows), H, max(row.n_positions for row in self.rows), dtype=torch.bool)
        for b, row in enumerate(self.positions):
            for h, head in enumerate(row):
                mask[b, h, head] = True
        return mask

    def attend(self, query: Tensor, new: Tensor) -> Tensor:
        """Float64; NaN where a query is padding."""
        out = torch.full_like(query.transpose(1, 2), float("nan"), dtype=torch.float64)
        for b, row in enumerate(self.rows):
            n_new = int(new[b])
            for q_head in range(HQ):
                tokens = row.heads[q_head // (HQ // H)]
                for i in range(max(n_new, 1 if query.shape[2] == 1 else 0)):
                    seen = tokens[: len(tokens) - n_new + i + 1]
                    if not seen:
                        out[b, i, q_head] = 0
                        continue
                    keys, values = (torch.stack([token[part] for token in seen]).double() for part in (1, 2))
                    logits = keys @ query[b, q_head, i].double() * SCALE
                    out[b, i, q_head] = logits.softmax(0) @ values
        return out


def poison(store: Store) -> None:
    """NaN in every slot that holds no token."""
    kv = store.kv if isinstance(store, RaggedStore) else store.tail
    spare = torch.ones(len(kv.keys), dtype=torch.bool)
    spare[kv.segments.slots()] = False
    kv.keys[spare] = kv.values[spare] = float("nan")


def check(store: Store, model: Model, query: Tensor, new: Tensor) -> None:
    """All that a store says of itself, and what it attends to."""
    poison(store)
    kept = store.positions()
    flat, counts = kept.positions.tolist(), kept.counts.tolist()
    held = [[[flat.pop(0) for _ in range(n)] for n in row] for row in counts]
    assert held == model.positions
    assert torch.equal(kept.mask, model.mask)
    assert store.kv_bytes_by_row() == [sum(map(len, row)) * 2 * D * 4 for row in model.positions]
    real = ~(expected := model.attend(query, new)).isnan()
    out = store.attend(query, new, Form(SCALE))
    torch.testing.assert_close(out[real].double(), expected[real], atol=1e-5, rtol=1e-5)


def some_of(draw: st.DrawFn, mask: Tensor) -> Tensor:
    """A random part of what a mask has."""
    flat = draw(st.lists(st.booleans(), min_size=mask.numel(), max_size=mask.numel()))
    return mask & torch.tensor(flat, dtype=torch.bool).view(mask.shape)


@settings(max_examples=120)
@given(st.data())
def test_every_sequence_leaves_what_lists_of_tokens_leave(data: st.DataObject) -> None:
    draw = data.draw
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    n_rows, n_tokens, room = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(0, 3))
    keys, values = torch.randn(2, 1, H, n_tokens, D, generator=random)
    kept = Kept.of_mask(some_of(draw, torch.ones(n_rows, H, n_tokens, dtype=torch.bool)))
    heads = [
        [[(t, keys[0, h, t], values[0, h, t]) for t in range(n_tokens) if kept.mask[b, h, t]] for h in range(H)]
        for b in range(n_rows)
    ]
    model = Model([Row(head, n_tokens) for head in heads])
    stores: list[Store] = [compact(keys, values, kept, room), hide(keys, values, kept, room)]
    for _ in range(draw(st.integers(1, 7))):
        n_rows = len(model.rows)
        each = st.lists(st.integers(0, 3), min_size=n_rows, max_size=n_rows)
        width, new = 1, torch.zeros(n_rows, dtype=torch.int64)
        match draw(st.sampled_from(["append", "append", "append", "take back", "keep", "keep rows"])):
            case "append":
                new = torch.tensor(draw(each))
                width = max(1, int(new.max()), draw(st.integers(0, 3)))
                chunk_keys, chunk_values = torch.randn(2, n_rows, H, width, D, generator=random)
                model.append(chunk_keys, chunk_values, new)
                for store in stores:
                    store.append(chunk_keys, chunk_values, new)
            case "take back":
                n = torch.tensor(
                    [min(taken, row.n_appended) for taken, row in zip(draw(each), model.rows, strict=True)]
                )
                model.take_back(n)
                for store in stores:
                    addresses = addresses_of(store)
                    store.take_back(n)
                    assert addresses_of(store) == addresses, "nothing is copied"
            case "keep":
                fewer = Kept.of_mask(some_of(draw, model.mask))
                model.keep(fewer.mask)
                for store in stores:
                    store.keep(fewer)
            case "keep rows":
                rows = sorted(draw(st.sets(st.integers(0, n_rows - 1), min_size=1)))
                model.keep_rows(rows)
                new = new[rows]
                for store in stores:
                    store.keep_rows(torch.tensor(rows))
        query = torch.randn(len(model.rows), HQ, width, D, generator=random)
        for store in stores:
            check(store, model, query, new)


def addresses_of(store: Store) -> tuple[int, int]:
    kv = store.kv if isinstance(store, RaggedStore) else store.tail
    return kv.keys.data_ptr(), kv.values.data_ptr()


def two_stores() -> list[Store]:
    """Over 6 tokens, of which a second row keeps 3; 4 and 2 tokens fed."""
    keys, values = torch.randn(2, 1, H, 6, D, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, H, 6, dtype=torch.bool)
    mask[1, :, 1:4] = False
    stores: list[Store] = [make(keys, values, Kept.of_mask(mask), 0) for make in (compact, hide)]
    for store in stores:
        store.append(torch.zeros(2, H, 4, D), torch.zeros(2, H, 4, D), torch.tensor([4, 2]))
    return stores


@pytest.mark.parametrize("n", [[5, 0], [0, 3], [-1, 0]])
def test_only_appended_tokens_are_taken_back(n: list[int]) -> None:
    for store in two_stores():
        before = store.positions().mask
        with pytest.raises(ValueError, match=r"rows that took in \[4, 2\] tokens cannot take back"):
            store.take_back(torch.tensor(n))
        assert torch.equal(store.positions().mask, before)


def test_what_is_not_held_cannot_be_kept() -> None:
    for store in two_stores():
        mask = store.positions().mask
        evicted = mask.clone()
        evicted[1, 0, 2] = True
        with pytest.raises(ValueError, match="cannot keep positions that it does not hold"):
            store.keep(Kept.of_mask(evicted))
        with pytest.raises(ValueError, match=r"a selection \[2, 2, 9\] of a store that holds \[2, 2, 10\] positions"):
            store.keep(Kept.of_mask(mask[..., :9]))
        assert torch.equal(store.positions().mask, mask)


def test_a_ragged_store_frees_what_it_no_longer_keeps() -> None:
    ragged, shared = two_stores()
    fewer = ragged.positions().mask.clone()
    fewer[0, :, :3] = False
    before = ragged.allocated_bytes, shared.allocated_bytes
    for store in (ragged, shared):
        store.keep(Kept.of_mask(fewer))
    assert ragged.allocated_bytes == before[0] - 3 * H * 2 * D * 4
    assert shared.allocated_bytes == before[1], "its docstring: the context's bytes are not freed"
