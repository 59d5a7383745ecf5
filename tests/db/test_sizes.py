"""Bytes in words."""

import pytest

from lukv_bench.db.sizes import size

GIB = 2**30


@pytest.mark.parametrize(("n_bytes", "text"), [(0, "0 B"), (1536, "1.50 KiB"), (5 * GIB // 2, "2.50 GiB")])
def test_bytes_are_written_for_people(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text
