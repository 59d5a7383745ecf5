"""A scorer that calls an op hands on the backend of the layer, and every backend gives the same ranking."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from lukv_bench.scorers.base import Scorer
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.snapkv import SnapKV


@pytest.mark.parametrize(
    "scorer", [KeyDiff(), SnapKV(window=5), SnapKV(window=3, kernel=5, pool="avg")], ids=["keydiff", "max", "avg"]
)
def test_interpreted_triton_scores_as_torch(scorer: Scorer, make_layer: Callable[..., Any]) -> None:
    view = make_layer((1, 2, 3, 29, 64)).view(5)
    in_torch = scorer.score(view)
    interpreted = scorer.score(replace(view, backend="triton-interpret"))
    torch.testing.assert_close(interpreted, in_torch, atol=2e-6, rtol=2e-5)
    assert not torch.equal(interpreted, in_torch), "the two forms add in another order: one of them did not run"
