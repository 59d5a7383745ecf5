"""Allocators that measure each layer: what they are shown is a scorer's view, and what goes wrong is their answer's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest, Needs
from lukv_bench.bench.engine.scoring import ScoreError
from lukv_bench.bench.errors import PluginFailure, WriteError
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone, read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.plugins.contract import instance_breach
from lukv_bench.scorers.base import LayerView, Reads


@dataclass(frozen=True)
class Measuring:
    """Gives everything that is not protected to the head with the largest first measure."""

    how: str = "well"

    source: ClassVar[str] = "a test"
    needs: ClassVar[Needs] = Needs.MEASURES
    reads: ClassVar[Reads] = Reads(queries=3)

    def measure(self, layer: LayerView) -> Tensor:
        assert layer.queries is not None
        assert layer.queries.shape[2] == 3
        if self.how == "failing":
            raise RuntimeError("no measure today")
        if self.how == "writing":
            layer.keys.zero_()
        measures = torch.stack([layer.keys.mean(dim=(2, 3)), layer.values.std(dim=(2, 3))], dim=-1)
        if self.how == "uneven" and layer.layer == 1:
            return measures[..., :1]
        return {"flat": measures[..., 0], "nan": measures * torch.nan}.get(self.how, measures)

    def allocate(self, request: AllocationRequest) -> Tensor:
        assert request.scores is None
        assert request.measures is not None
        assert request.measures.shape == (*request.shape, 2)
        weights = request.measures[..., 0].clamp_min(0)
        counts = torch.full(request.shape, request.budget // request.n_heads)
        first, last = weights.flatten().argmax(), weights.flatten().argmin()
        counts.view(-1)[first] += 1
        counts.view(-1)[last] -= 1
        return counts


def method(how: str) -> Method:
    budget = Budget(ratio=parse_ratio("0.5"))
    (one,) = build_methods(["uniform"], ["keydiff"], [budget], None, None, baselines=False)
    return replace(one, allocator=replace(one.allocator, instance=Measuring(how)))


def test_the_measures_of_all_layers_reach_the_allocator(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    ids, one = some_ids(60, 1), method("well")
    context = read_context(llama.loaded, ids, [one], 0, 70)
    keys = torch.stack([layer.mean(dim=(2, 3)) for layer in context.keys])
    counts = torch.tensor(select_kept(llama.loaded, one, context, 0).keep_counts)
    assert int(counts.flatten().argmax()) == int(keys.clamp_min(0).flatten().argmax())
    assert torch.equal(counts, torch.tensor(evict_alone(llama.loaded, ids, one, 0, 70).selection.keep_counts))


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("flat", ScoreError, "measures have shape"),
        ("nan", ScoreError, "measures are NaN or infinite"),
        ("uneven", ScoreError, "measures have 1 columns, and 2 in earlier layers"),
        ("failing", PluginFailure, "no measure today"),
        ("writing", WriteError, "changed the keys"),
    ],
)
def test_a_measure_that_goes_wrong_costs_its_own_answer_alone(
    llama: Any, some_ids: Callable[..., list[int]], how: str, error: type[Exception], words: str
) -> None:
    ids, wrong, other = some_ids(60, 1), method(how), method("well")
    sound = build_methods(["adakv"], ["keydiff"], [other.budget], None, None, baselines=False)[0]
    expected = evict_alone(llama.loaded, ids, sound, 0, 70).selection.keep_counts
    context = read_context(llama.loaded, ids, [wrong, sound], 0, 70)
    with pytest.raises(error, match=words):
        select_kept(llama.loaded, wrong, context, 0)
    assert select_kept(llama.loaded, sound, context, 0).keep_counts == expected
    with pytest.raises(error, match=words):
        evict_alone(llama.loaded, ids, wrong, 0, 70)


def test_an_allocator_that_needs_measures_and_makes_none_breaks_the_contract() -> None:
    @dataclass(frozen=True)
    class Without:
        source: ClassVar[str] = "a test"
        needs: ClassVar[Needs] = Needs.MEASURES

    @dataclass(frozen=True)
    class Budgeted(Measuring):
        reads: ClassVar[Reads] = Reads(budget=True)

    assert "lacks reads, measure" in str(instance_breach("allocator", Without()))
    assert "reads the budget" in str(instance_breach("allocator", Budgeted()))
    assert instance_breach("allocator", Measuring()) is None
