"""A list of plugins without importing them says what importing them says."""

from typing import Literal

import pytest

from lukv_bench.bench.plugins.registry import describe_all
from lukv_bench.bench.plugins.source import BUILT_IN, describe_listed


@pytest.mark.parametrize("kind", ["allocator", "scorer"])
def test_a_built_in_plugin_is_read_as_it_is_imported(kind: Literal["allocator", "scorer"]) -> None:
    listed, imported = describe_listed(kind), describe_all(kind)
    assert listed == imported
    assert [known.name for known in listed if known.distribution == BUILT_IN]
