"""A plugin bound to its profile is handed it by whoever calls it, and by nobody else's hand another's."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.errors import WriteError
from lukv_bench.bench.guard.bound import Bound
from lukv_bench.bench.guard.call import package_of
from lukv_bench.scorers.base import LayerView, Profile
from lukv_bench.scorers.keydiff import KeyDiff

PROFILE = Profile("own", {"weights": torch.arange(3.0)}, {"texts": ["one"]})
VIEW = LayerView(0, torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), profile=Profile("another's", {}))


@dataclass(frozen=True)
class Weighing:
    writes: bool = False

    def score(self, layer: LayerView) -> Tensor:
        assert layer.profile is not None
        weights = layer.profile.arrays["weights"]
        if self.writes:
            weights.mul_(2)
        return weights.clone()

    def notes(self, layer: LayerView, number: int) -> Any:
        assert layer.profile is not None
        layer.profile.made["texts"].append(number)  # its own copy
        return layer.profile.kind


def test_the_own_profile_is_handed_over_whatever_the_caller_passes_on() -> None:
    bound = Bound(Weighing(), PROFILE)
    for view in (VIEW, replace(VIEW, profile=None)):
        assert torch.equal(bound.score(view), torch.arange(3.0))
        assert bound.notes(view, 2) == "own"
    assert PROFILE.made == {"texts": ["one"]}


def test_a_profile_that_was_written_into_is_named_and_whole_again_for_the_next() -> None:
    bound = Bound(Weighing(writes=True), PROFILE)
    for _ in range(2):
        with pytest.raises(WriteError, match="it changed the profile's weights"):
            bound.score(VIEW)
    assert torch.equal(PROFILE.arrays["weights"], torch.arange(3.0))


def test_all_else_is_the_plugins_own() -> None:
    bound = Bound(KeyDiff(), PROFILE)
    assert (bound.reads, bound.protection) == (KeyDiff.reads, KeyDiff.protection)
    assert not hasattr(bound, "notes")
    assert package_of(bound) == package_of(KeyDiff())
    assert package_of(Bound(Weighing(), PROFILE)) == package_of(Weighing)
    assert copy.copy(bound).reads == KeyDiff.reads
