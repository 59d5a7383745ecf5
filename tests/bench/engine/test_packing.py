"""Chunks in one line: nothing is lost, nothing is mixed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.engine.packing import Packing


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
def test_rows_are_spread_from_their_line_and_joined_again(lengths: list[int], data: st.DataObject) -> None:
    chunks = [[10 * row + column for column in range(n)] for row, n in enumerate(lengths)]
    packing = Packing.of(chunks)
    line = torch.tensor([token for chunk in chunks for token in chunk])
    rows = packing.spread(line.view(1, 1, -1, 1).expand(-1, 2, -1, 3))
    assert rows.shape == (len(lengths), 2, max(lengths), 3)
    assert [row[:n] for row, n in zip(rows[:, 1, :, 2].tolist(), lengths, strict=True)] == chunks
    assert packing.join(rows.transpose(1, 2))[0, :, 1, 2].tolist() == line.tolist()
    n_last = [data.draw(st.integers(0, n)) for n in lengths]
    last = [token for chunk, n in zip(chunks, n_last, strict=True) for token in chunk[len(chunk) - n :]]
    assert line[packing.last(n_last)].tolist() == last
    before = torch.arange(len(lengths)) * 100
    assert packing.continued(before).tolist() == [
        100 * row + n for row, length in enumerate(lengths) for n in range(length)
    ]
