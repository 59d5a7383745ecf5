"""KeyDiff against its formula in float64, and protection."""

import math

import pytest
import torch
from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection
from lukv_bench.scorers.keydiff import KeyDiff

CASES = [(1, 1, 63, 64), (2, 3, 17, 20), (3, 4, 5, 12), (1, 2, 1, 28)]
IDS = ["B{}-H{}-T{}-D{}".format(*case) for case in CASES]


def score(keys: Tensor) -> Tensor:
    return KeyDiff().score(LayerView(layer=0, keys=keys, values=torch.full_like(keys, float("nan"))))


def by_hand(keys: list[list[float]]) -> list[float]:
    """-cos(k_j, mean over i of k_i / ||k_i||) for the keys of one head."""
    units = [[x / math.hypot(*key) for x in key] for key in keys]
    anchor = [sum(column) / len(keys) for column in zip(*units, strict=True)]
    return [
        -sum(x * y for x, y in zip(key, anchor, strict=True)) / math.hypot(*key) / math.hypot(*anchor) for key in keys
    ]


@pytest.mark.parametrize("shape", CASES, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
def test_scores_follow_the_formula(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    made = torch.Generator().manual_seed(sum(shape))
    lengths = torch.rand(*shape[:3], 1, generator=made) * 10 + 0.1  # unlike lengths: the anchor is a mean of unit keys
    keys = ((torch.randn(shape, generator=made) + 0.5) * lengths).to(dtype)
    got = score(keys)
    assert got.dtype == torch.float32
    assert got.shape == shape[:3]
    assert got.abs().max() <= 1 + 1e-6
    expected = torch.tensor(
        [[by_hand(keys[b, h].double().tolist()) for h in range(shape[1])] for b in range(shape[0])],
        dtype=torch.float64,
    )
    torch.testing.assert_close(got.double(), expected, atol=2e-6, rtol=0)


def test_the_odd_one_out_scores_highest() -> None:
    keys = torch.ones(1, 1, 9, 8)
    keys[0, 0, 5] = torch.tensor([1.0, -1.0] * 4)
    scores = score(keys)
    assert int(scores.argmax()) == 5
    assert scores[0, 0, 5] > scores[0, 0, 0] + 0.5


def test_a_sequence_scores_the_same_alone_and_in_a_batch() -> None:
    keys = torch.randn(3, 2, 19, 12, generator=torch.Generator().manual_seed(0))
    together = score(keys)
    for b in range(3):
        torch.testing.assert_close(together[b : b + 1], score(keys[b : b + 1]), atol=1e-6, rtol=0)


def test_keys_of_zero_give_finite_scores() -> None:
    keys = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    keys[0, 0, 2] = 0
    keys[0, 1] = 0
    assert score(keys).isfinite().all()


@pytest.mark.parametrize(
    ("sink", "window", "n_tokens", "expected"),
    [
        (4, 1, 10, [0, 1, 2, 3, 9]),
        (0, 3, 5, [2, 3, 4]),
        (2, 0, 5, [0, 1]),
        (0, 0, 3, []),
        (4, 32, 6, [0, 1, 2, 3, 4, 5]),
        (9, 0, 2, [0, 1]),
        (0, 4, 3, [0, 1, 2]),
    ],
)
def test_protection_covers_sink_and_window(sink: int, window: int, n_tokens: int, expected: list[int]) -> None:
    mask = Protection(sink, window).mask(n_tokens)
    assert mask.dtype == torch.bool
    assert len(mask) == n_tokens
    assert mask.nonzero().flatten().tolist() == expected


def test_keydiff_protects_four_sinks_and_the_last_token_as_lukv_uses_it() -> None:
    assert KeyDiff.protection == Protection(sink=4, window=1)
