"""DropKV, OBCache, LaProx, CAKE and DefensiveKV against what they claim to measure, in float64: outputs without a
token, derivatives, projected values; and formulas a number at a time where there is nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.cake import Cake
from lukv_bench.scorers.defensive import Defensive
from lukv_bench.scorers.dropkv import DropKV
from lukv_bench.scorers.laprox import LaProx
from lukv_bench.scorers.obcache import OBCache

SCORERS = (Cake(), Defensive(), DropKV(), LaProx(), OBCache())


def attended(
    layer: Any, b: int, head: int, at: int, keys: Tensor, values: Tensor, without: int | None = None
) -> Tensor:
    """The output [D] of the query of a head at a position, over other keys and values [T, D], or without a token."""
    query = layer.queries[b, head, at].double()
    logits = keys[: at + 1] @ query / query.shape[0] ** 0.5
    if without is not None:
        logits = logits.index_fill(0, torch.tensor([without]), -torch.inf)
    return logits.softmax(0) @ values[: at + 1]


def pooled(scores: list[float], kernel: int, pool: str) -> list[float]:
    half = kernel // 2
    around = [scores[max(j - half, 0) : j + half + 1] for j in range(len(scores))]
    return [max(some) if pool == "max" else sum(some) / kernel for some in around]


def heads_of(layer: Any) -> list[tuple[int, int, list[int]]]:
    """(sequence, KV head, its query heads)."""
    n_batch, n_heads = layer.keys.shape[:2]
    group = layer.group
    return [(b, h, list(range(h * group, (h + 1) * group))) for b in range(n_batch) for h in range(n_heads)]


def window_of(layer: Any, window: int) -> list[int]:
    return list(range(max(layer.n_tokens - window, 0), layer.n_tokens))


def assert_before_the_window(got: Tensor, expected: dict[tuple[int, int], list[float]], n_before: int) -> None:
    """Scores before the window as expected, and the window above every one of its sequence."""
    assert got.dtype == torch.float32
    for (b, h), scores in expected.items():
        wanted = torch.tensor(scores, dtype=torch.float64)
        torch.testing.assert_close(got[b, h, :n_before].double(), wanted, atol=1e-6, rtol=1e-4)
        if n_before < got.shape[2]:
            assert (got[b, h, n_before:] == got[b].max()).all()
            assert n_before == 0 or got[b].max() > got[b, :, :n_before].max()


@pytest.mark.parametrize(("window", "kernel", "pool"), [(8, 11, "max"), (3, 1, "max"), (4, 5, "avg")])
def test_dropkv_is_what_the_outputs_change_by_when_one_token_is_left_out(
    layer: Any, window: int, kernel: int, pool: Any
) -> None:
    expected, at = {}, window_of(layer, window)
    for b, h, group in heads_of(layer):
        keys, values = layer.keys[b, h].double(), layer.values[b, h].double()
        change = [0.0] * layer.n_tokens
        for q in group:
            for i in at:
                whole = attended(layer, b, q, i, keys, values)
                for j in range(i + 1 if i else 0):
                    left = attended(layer, b, q, i, keys, values, without=j)
                    change[j] += float((left - whole).square().sum()) / len(group)
        expected[b, h] = pooled(change, kernel, pool)[: at[0]]
    scores = DropKV(window, kernel, pool).score(layer.view(window))
    assert_before_the_window(scores, expected, at[0])


@pytest.mark.parametrize("form", ["value", "key", "joint"])
def test_obcache_is_the_second_order_term_of_the_pruning_error(make_layer: Callable[..., Any], form: Any) -> None:
    layer, window = make_layer((1, 2, 2, 13, 4)), 3
    at = window_of(layer, window)
    expected = {}
    for b, h, group in heads_of(layer):
        keys, values = layer.keys[b, h].double(), layer.values[b, h].double()
        whole = {(q, i): attended(layer, b, q, i, keys, values) for q in group for i in at}
        expected[b, h] = [_second_order(layer, b, j, keys, values, whole, form) for j in range(at[0])]
    scores = OBCache(form, window, kernel=1).score(layer.view(window))
    assert_before_the_window(scores, expected, at[0])


def _second_order(
    layer: Any, b: int, j: int, keys: Tensor, values: Tensor, whole: dict[tuple[int, int], Tensor], form: str
) -> float:
    """1/2 d H d of the error as a function of token j's value and key, at theirs, where d prunes what the form says."""

    def error(pair: Tensor) -> Tensor:
        own = torch.arange(len(keys)).unsqueeze(1) == j
        changed_values, changed_keys = torch.where(own, pair[:4], values), torch.where(own, pair[4:], keys)
        changes = (attended(layer, b, q, i, changed_keys, changed_values) - out for (q, i), out in whole.items())
        return torch.stack([change.square().sum() for change in changes]).sum()

    pair = torch.cat([values[j], keys[j]])
    hessian = torch.autograd.functional.hessian(error, pair)
    pruned = -pair * torch.tensor([form != "key"] * 4 + [form != "value"] * 4)
    return float(pruned @ hessian @ pruned) / 2


def test_obcache_adds_up_a_group_and_takes_the_largest_neighbour(layer: Any) -> None:
    plain, wide = OBCache("value", 4, kernel=1), OBCache("value", 4)
    alone, at = plain.score(layer.view(4)), window_of(layer, 4)
    expected = {(b, h): pooled(alone[b, h, : at[0]].tolist(), 7, "max") for b, h, _ in heads_of(layer)}
    assert_before_the_window(wide.score(layer.view(4)), expected, at[0])
    each = [replace_heads(layer, q) for q in range(layer.group)]
    total = sum(plain.score(one)[..., : at[0]] for one in each)
    torch.testing.assert_close(alone[..., : at[0]], total, atol=1e-6, rtol=1e-4)


def replace_heads(layer: Any, member: int) -> LayerView:
    """The layer as if each KV head had this one query head of its group."""
    view = layer.view(4)
    return replace(view, queries=view.queries[:, member :: layer.group])


def output_weight(layer: Any, hidden: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(layer.queries.shape[1], layer.keys.shape[3], hidden, generator=generator)


@pytest.mark.parametrize(("window", "kernel", "pool"), [(32, 7, "avg"), (3, 3, "max")])
def test_laprox_is_a_column_of_the_attention_times_a_row_of_the_projected_values(
    layer: Any, window: int, kernel: int, pool: Any
) -> None:
    weight, at = output_weight(layer), window_of(layer, window)
    scores: dict[tuple[int, int], list[float]] = {}
    for b, h, group in heads_of(layer):
        rows = []
        for q in group:
            seen = [layer.attention(b, q, i) for i in at]
            columns = [sum(weights[j] ** 2 for weights in seen) ** 0.5 for j in range(at[0])]
            norms = (layer.values[b, h].double() @ weight[q].double()).norm(dim=-1).tolist()
            rows.append([column * norm for column, norm in zip(columns, norms, strict=False)])
        scores[b, h] = pooled([sum(each) / len(group) for each in zip(*rows, strict=True)], kernel, pool)
    total = {b: sum(sum(some) for (row, _), some in scores.items() if row == b) for b, _, _ in heads_of(layer)}
    expected = {(b, h): [score / total[b] for score in some] for (b, h), some in scores.items()}
    got = LaProx(window, kernel, pool).score(layer.view(window, output_weight=weight))
    assert_before_the_window(got, expected, at[0])


@pytest.mark.parametrize(("window", "gamma", "kernel"), [(32, 200.0, 5), (4, 2.0, 1), (1, 200.0, 3)])
def test_cake_adds_the_variance_of_the_attention_to_its_mean(
    layer: Any, window: int, gamma: float, kernel: int
) -> None:
    expected, at = {}, window_of(layer, window)
    for b, h, group in heads_of(layer):
        votes = []
        for q in group:
            seen = torch.tensor([layer.attention(b, q, i)[: at[0]] for i in at], dtype=torch.float64)
            spread = seen.var(dim=0) if len(at) > 1 and at[0] else torch.zeros(at[0], dtype=torch.float64)
            votes.append(pooled((seen.mean(dim=0) + gamma * spread).tolist(), kernel, "avg"))
        expected[b, h] = [sum(each) / len(group) for each in zip(*votes, strict=True)]
    got = Cake(window, gamma, kernel).score(layer.view(window))
    assert_before_the_window(got, expected, at[0])


@pytest.mark.parametrize(("window", "mass", "n_kept"), [(8, 0.9, 14), (8, 0.0, 14), (3, 0.99, 5), (8, 0.9, 8)])
def test_defensive_takes_the_worst_case_and_fills_up_with_norms(
    layer: Any, window: int, mass: float, n_kept: int
) -> None:
    weight, at = output_weight(layer), window_of(layer, window)
    n, n_batch = at[0], layer.keys.shape[0]
    expected: dict[tuple[int, int], list[float]] = {}
    for b in range(n_batch if n else 0):
        own = [(h, group) for row, h, group in heads_of(layer) if row == b]
        seen = {q: [layer.attention(b, q, i)[:n] for i in at] for _, group in own for q in group}
        near = torch.tensor([[sum(weights[-len(at) :]) for weights in each] for each in seen.values()]).mean()
        norms = {
            h: sum((layer.values[b, h].double() @ weight[q].double()).abs().sum(-1)[:n] for q in group) / len(group)
            for h, group in own
        }
        scores, first = {}, {}
        for h, group in own:
            smooth = []
            for weights in (weights for q in group for weights in seen[q]):
                around = pooled(weights, 5, "avg")
                smooth.append([one / sum(around) * sum(weights) for one in around])
            worst = [max(each) for each in zip(*smooth, strict=True)]
            floor = sum(worst) / n
            share = norms[h] / sum(norms.values())
            scores[h] = [max(one, floor) * float(factor) for one, factor in zip(worst, share, strict=True)]
            mean = torch.tensor([weights for q in group for weights in seen[q]], dtype=torch.float64).mean(dim=0)
            first[h] = _first(mean.tolist(), mass - float(near), n_kept - len(at))
        top = max(score for some in scores.values() for score in some)
        for h, some in scores.items():
            expected[b, h] = [top if j in first[h] else score for j, score in enumerate(some)]
    got = Defensive(window, mass=mass).score(layer.view(window, output_weight=weight, n_kept=n_kept))
    assert_before_the_window(got, expected, n)


def _first(mean: list[float], mass: float, most: int) -> set[int]:
    """The tokens taken, largest first, before the sum of their shares reaches the mass."""
    total, order = 0.0, sorted(range(len(mean)), key=lambda j: -mean[j])
    for taken, j in enumerate(order):
        total += mean[j] / sum(mean)
        if total >= mass:
            return set(order[: min(taken, max(most, 0))])
    return set()


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: type(scorer).__name__)
def test_the_window_is_protected_as_long_as_it_is(scorer: Any) -> None:
    assert scorer.protection == Protection(sink=4, window=scorer.window)
    assert scorer.reads.queries == scorer.window
    assert isinstance(scorer.reads, Reads)


@pytest.mark.parametrize(
    ("scorer", "wrong", "named"),
    [
        (Cake, {"gamma": -1.0}, "gamma"),
        (Cake, {"kernel": 2}, "kernel"),
        (DropKV, {"window": 0}, "window"),
        (Defensive, {"mass": 1.1}, "mass"),
        (LaProx, {"kernel": 0}, "kernel"),
        (OBCache, {"window": -1}, "window"),
    ],
)
def test_sizes_that_mean_nothing_are_refused(scorer: Any, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        scorer(**wrong)
