"""HeadKV's and DuoAttention's budgets against their definitions, head by head in plain Python."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from lukv_bench.allocators.base import AllocationRequest, check_counts
from lukv_bench.allocators.duoattention import DuoAttention
from lukv_bench.allocators.headkv import HeadKV
from lukv_bench.scorers.base import CalibrationDocument, Profile, Protection

Ask = Callable[..., AllocationRequest]
L, H, T = 3, 2, 200
PROTECTION = Protection(sink=4, window=6)


def document(seed: int, n_tokens: int) -> CalibrationDocument:
    """A made-up replay of heads that differ; its first five tokens are not repeated, as those of a chat template."""
    drawn = torch.rand(L, H, n_tokens, generator=torch.Generator().manual_seed(seed))
    replay = drawn ** torch.arange(1, 1 + L * H).view(L, H, 1)
    replay[..., :5] = 0
    return CalibrationDocument(None, None, PROTECTION.mask(n_tokens), replay=replay)


DOCUMENTS = (document(1, 40), document(2, 90))


def asked(ask: Ask, mean_budget: int) -> AllocationRequest:
    return ask(mean_budget * L * H, n_layers=L, n_heads=H, n_tokens=T, protection=PROTECTION)


def heads() -> list[tuple[int, int]]:
    return [(layer, head) for layer in range(L) for head in range(H)]


def test_a_head_s_score_is_the_mean_or_the_largest_of_what_is_repeated() -> None:
    means, largest = (dict(each.fit(DOCUMENTS))["score"] for each in (HeadKV(), DuoAttention()))
    for layer, head in heads():
        rows = [each.replay[layer, head, 5:].double().tolist() for each in DOCUMENTS if each.replay is not None]
        assert means[layer, head].item() == pytest.approx(sum(sum(row) / len(row) for row in rows) / 2)
        assert largest[layer, head].item() == pytest.approx(sum(max(row) for row in rows) / 2)


def test_what_the_first_tokens_get_tells_nothing_of_a_head() -> None:
    replay = torch.rand(L, H, 40, generator=torch.Generator().manual_seed(3))
    replay[1, 0, 0] = 1.0
    of_sink, without = (
        CalibrationDocument(None, None, PROTECTION.mask(40), replay=each)
        for each in (replay, torch.cat([torch.zeros(L, H, 4), replay[..., 4:]], dim=-1))
    )
    for allocator in (HeadKV(), DuoAttention()):
        torch.testing.assert_close(dict(allocator.fit((of_sink,))), dict(allocator.fit((without,))))


@pytest.mark.parametrize("beta", [1.0, 1.2, 5.0])
def test_headkv_s_budgets_are_the_published_ones_within_a_token(ask: Ask, beta: float) -> None:
    """The base budget less what it pays into the pool, and the head's share of the pool."""
    arrays = dict(HeadKV().fit(DOCUMENTS))
    request = replace(asked(ask, 60), profile=Profile("headkv", arrays))
    counts = HeadKV(beta=beta).allocate(request)
    check_counts(counts, request)
    base = 60 - 10  # besides the protected tokens
    whole = float(arrays["score"].sum())
    for layer, head in heads():
        share = float(arrays["score"][layer, head]) / whole
        expected = base - base / beta + share * L * H * base / beta + 10
        assert abs(counts[layer, 0, head].item() - expected) < 1


def test_headkv_s_full_heads_leave_the_rest_to_the_others(ask: Ask) -> None:
    arrays = {"score": torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 0.0]])}
    request = replace(asked(ask, 90), profile=Profile("headkv", arrays))
    counts = HeadKV(beta=1.0).allocate(request)
    check_counts(counts, request)
    best, *others = counts.flatten().tolist()
    assert best == T
    second = others.pop(1)
    assert second > max(others) + 5
    assert 10 < min(others) >= max(others) - 1


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (11, [11, 11, 11, 11, 11, 11]),
        (41, [41, 41, 41, 41, 41, 41]),
        (42, [42, 42, 42, 42, 42, 42]),
        (60, [42 + 6 * 18, 42, 42, 42, 42, 42]),
        (120, [200, 200, 42 + 6 * 78 - 2 * 158, 42, 42, 42]),
        (200, [200] * 6),
    ],
)
def test_duoattention_s_best_heads_keep_all_and_the_next_the_rest(ask: Ask, budget: int, expected: list[int]) -> None:
    arrays = dict(DuoAttention().fit(DOCUMENTS))
    request = replace(asked(ask, budget), profile=Profile("duoattention", arrays))
    counts = DuoAttention(streaming=32).allocate(request)
    check_counts(counts, request)
    best = sorted(heads(), key=lambda each: -float(arrays["score"][each]))
    assert [counts[layer, 0, head].item() for layer, head in best] == expected
    notes = DuoAttention(streaming=32).notes(request, counts)
    assert [(note["asked"], note["served"]) for note in notes] == ([(42, budget)] if budget < 42 else [])


def test_a_context_shorter_than_a_streaming_head_s_tokens_is_kept_as_the_budget_has_it(ask: Ask) -> None:
    request = ask(15 * L * H + 2, n_layers=L, n_heads=H, n_tokens=20, protection=PROTECTION)
    request = replace(request, profile=Profile("duoattention", dict(DuoAttention().fit(DOCUMENTS))))
    counts = DuoAttention(streaming=32).allocate(request)
    check_counts(counts, request)
    assert sorted(counts.flatten().tolist()) == [15, 15, 15, 15, 16, 16]


def test_layers_asked_for_one_by_one_use_their_own_scores(ask: Ask) -> None:
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    whole = asked(ask, 60)
    for layer, best in enumerate((1, 0, 1)):
        request = AllocationRequest(
            (layer,), L, 1, H, T, 60 * H, whole.protected, profile=Profile("headkv", {"score": scores})
        )
        counts = HeadKV().allocate(request)[0, 0]
        assert counts[best] > counts[1 - best]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"curve": torch.zeros(L, H)}, "not one array named score"),
        ({"score": torch.zeros(L, H + 1)}, "3 layers with 2 KV heads"),
        ({"score": -torch.ones(L, H)}, "at least 0"),
        ({"score": torch.full((L, H), float("inf"))}, "at least 0"),
        ({"score": torch.ones(L, H, dtype=torch.int64)}, "at least 0"),
    ],
)
def test_a_profile_that_cannot_be_one_is_refused(arrays: dict[str, torch.Tensor], said: str) -> None:
    for allocator in (HeadKV(), DuoAttention()):
        with pytest.raises(ValueError, match=said):
            allocator.check_profile(arrays, L, H)


@pytest.mark.parametrize(
    ("make", "said"), [(lambda: HeadKV(beta=0.9), "beta"), (lambda: DuoAttention(streaming=-1), "at least 0")]
)
def test_an_argument_that_makes_no_sense_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
