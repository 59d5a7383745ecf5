import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lukv_bench.db.arrays import MOST_NUMBERS, pack_arrays, unpack_arrays

SHAPES = arrays_of.array_shapes(max_dims=3, max_side=5)
NUMBERS = arrays_of.arrays(np.float32, SHAPES, elements=st.floats(-(2.0**60), 2.0**60, width=32))


@given(st.dictionaries(st.sampled_from(["curve", "file", "args", "a/b", "\N{SNOWMAN}"]), NUMBERS))
def test_arrays_come_back_under_their_names_to_three_digits(arrays: dict[str, np.ndarray]) -> None:
    unpacked = unpack_arrays(pack_arrays(arrays))
    assert unpacked.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(unpacked[name], array, rtol=1e-3, atol=1e-7)


def test_arrays_that_are_too_many_are_left_out() -> None:
    assert pack_arrays({"curve": np.zeros(MOST_NUMBERS + 1)}) is None


@pytest.mark.parametrize("packed", [b"", b"PK\3\4", b"x" * 100])
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no packed arrays"):
        unpack_arrays(packed)
