"""A list of plugins without importing them says what importing them says."""

from typing import Literal

import pytest

from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.bench.plugins.source import BUILT_IN, describe_listed, written_protection


@pytest.mark.parametrize("kind", ["allocator", "scorer"])
def test_a_built_in_plugin_is_read_as_it_is_imported(kind: Literal["allocator", "scorer"]) -> None:
    listed, imported = describe_listed(kind), describe_all(kind)
    assert listed == imported
    assert [known.name for known in listed if known.distribution == BUILT_IN]


def test_a_built_in_scorers_protection_is_read_as_it_is_imported() -> None:
    names = [known.name for known in describe_listed("scorer") if known.distribution == BUILT_IN]
    written = {name: found for name in names if (found := written_protection(name)) is not None}
    assert {"keydiff", "knorm", "h2o", "random"} <= written.keys()
    assert "snapkv" not in written, "its window is an argument"
    for name, (sink, window) in written.items():
        protection = build("scorer", name).instance.protection
        assert (protection.sink, protection.window) == (sink, window)
