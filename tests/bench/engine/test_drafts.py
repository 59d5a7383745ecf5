"""Drafts: what they suggest, and answers that are the same with right ones, wrong ones and none."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.engine.decode import Decoded, decode, greedy
from lukv_bench.bench.engine.drafts import FIRST, Drafts
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.scorers.base import Profile

N_TOKENS, N_NEW, N_ROWS = 40, 24, 5
Ids = Callable[[int, int], list[int]]


def drafts_of(*answers: list[int]) -> Drafts:
    drafts = Drafts()
    for answer in answers:
        drafts.add(answer)
    return drafts


def test_a_draft_is_how_the_most_frequent_answer_goes_on_and_the_earliest_among_equals() -> None:
    drafts = drafts_of([1, 2, 3], [1, 2, 4], [1, 2, 4], [1, 5], [7])
    assert drafts.after([], 9) == [1, 2, 4]
    assert drafts.after([1], 1) == [2]
    assert drafts.after([1, 2, 4], 9) == drafts.after([2], 9) == []
    assert drafts_of([3, 1], [3, 2]).after([3], 9) == [1]


def test_where_no_answer_begins_alike_a_draft_follows_the_longest_shared_run_of_tokens() -> None:
    drafts = drafts_of([9, 1, 2, 3, 4, 5, 6], [8, 7, 1, 2, 40, 50], [1, 2])
    assert drafts.after([5, 1, 2], 9) == [3, 4, 5, 6], "two tokens shared: four drafted, of the earliest"
    assert drafts.after([5, 7, 1, 2], 9) == [40, 50]
    assert drafts.after([5, 7, 1, 2], 1) == [40]
    assert drafts.after([5, 1], 9) == drafts.after([1, 3], 9) == drafts.after([0, 5, 6], 9) == []
    assert drafts.after([1, 2], 9) == [3, 4, 5, 6]


def test_where_no_answer_begins_alike_a_draft_follows_what_the_prompt_says() -> None:
    drafts = Drafts([1, 2, 30, 31, 9, 1, 2, 40, 41, 42, 43, 44])
    assert drafts.after([7, 1, 2], 9) == [40, 41, 42, 43], "of its last place, twice the tokens shared"
    assert drafts.after([], 9) == drafts.after([2], 9) == drafts.after([43, 44], 9) == []
    drafts.add([5, 7, 1, 2, 50])
    assert drafts.after([7, 1, 2], 9) == [50], "three tokens are shared with the answer"
    assert drafts.after([9, 1, 2], 9) == [40, 41, 42, 43, 44], "three with the prompt"


def test_an_answer_that_repeats_itself_is_drafted_to_go_on_repeating() -> None:
    drafts = Drafts([1, 2, 99])
    assert drafts.after([1, 2, 3, 1, 2], 99) == [3, 1, 2, 3]
    assert drafts.after([8, *[1, 2, 3] * 6], 99) == ([1, 2, 3] * 7)[: 1 + 3 * 6]
    assert drafts.after([8, *[1, 2, 3] * 6], 5) == [1, 2, 3, 1, 2]
    assert drafts.after([4, 4, 4], 99) == [4, 4, 4, 4]


def test_drafts_grow_with_what_was_right() -> None:
    drafts = drafts_of(list(range(200)))
    assert [len(drafts.after(list(range(n)), 99)) for n in (0, FIRST + 1, 60, 150, 200)] == [
        FIRST,
        FIRST + 1,
        60,
        50,
        0,
    ]


@pytest.fixture(scope="module")
def configurations(llama: Any, kept_at_random: Callable[..., Any]) -> list[Any]:
    return [kept_at_random(llama.loaded.shape, N_TOKENS, 1, seed) for seed in range(N_ROWS)]


@pytest.fixture
def answered(llama: Any, some_ids: Ids, configurations: list[Any]) -> Callable[..., list[Decoded]]:
    """The rows of some configurations, decoded together."""
    context = prefill(llama.loaded, some_ids(N_TOKENS, 0), {})

    def answered(layout: Layout, stop: Stop, drafts: Drafts | None = None, rows: Any = range(N_ROWS)) -> list[Decoded]:
        cache = layout.build(context, [configurations[row] for row in rows], 2)
        questions = [some_ids(4, 1)] * len(rows)
        decoded = decode(llama.loaded, cache, questions, stop, drafts=drafts).rows
        n_fed = {4 + max(row.n_chosen - 1, 0) for row in decoded}
        assert set(cache.stores[0].n_appended().tolist()) <= n_fed, "what was wrong is taken back"
        return decoded

    return answered


def same(rows: list[Decoded]) -> list[tuple[list[int], str, str, int]]:
    return [(row.ids, row.text, row.stop_reason, row.n_chosen) for row in rows]


@pytest.mark.parametrize("layout", [RAGGED, SHARED], ids=lambda layout: layout.name)
@pytest.mark.parametrize("ends", ["length", "eos", "stop string"])
def test_answers_are_the_same_whatever_is_drafted(
    llama: Any, answered: Callable[..., list[Decoded]], some_ids: Ids, layout: Layout, ends: str
) -> None:
    plain = answered(layout, Stop(N_NEW, frozenset()))
    assert len({tuple(row.ids) for row in plain}) > 1
    eos = frozenset(row.ids[7] for row in plain) if ends == "eos" else frozenset()
    strings = tuple({row.text[5:7] for row in plain}) if ends == "stop string" else ()
    stop = Stop(N_NEW, eos, strings)
    expected = answered(layout, stop)
    assert {row.stop_reason for row in expected} == {ends.replace(" ", "_")}
    assert all(row.n_passes == row.n_chosen for row in expected)
    suggestions = {
        "its own answers": [row.ids for row in expected],
        "what would come behind their ends": [row.ids for row in plain],
        "wrong from some token on": [[*row.ids[:n], *some_ids(9, n)] for n, row in enumerate(plain)],
        "nothing right": [some_ids(30, 3), []],
        "right behind other beginnings": [[*some_ids(3, n), *row.ids[2:]] for n, row in enumerate(plain)],
        "none yet": [],
    }
    for name, ids in suggestions.items():
        assert same(answered(layout, stop, drafts_of(*ids))) == same(expected), name


def test_an_answer_that_was_drafted_whole_takes_one_pass(answered: Callable[..., list[Decoded]]) -> None:
    (alone,) = answered(RAGGED, Stop(10, frozenset()), rows=[2])
    for eos, n_chosen in ((frozenset(), 10), (frozenset(alone.ids[9:]) - frozenset(alone.ids[:9]), 10)):
        stop, drafts = Stop(10, eos), Drafts()
        (first,) = answered(RAGGED, stop, drafts, rows=[2])
        assert (first.n_chosen, first.n_passes) == (n_chosen, n_chosen)
        (again,) = answered(RAGGED, stop, drafts, rows=[2])
        assert (again.ids, again.n_chosen, again.n_passes) == (first.ids, n_chosen, 1)


def test_an_answer_that_another_holds_behind_another_beginning_takes_fewer_passes(
    answered: Callable[..., list[Decoded]], some_ids: Ids
) -> None:
    stop = Stop(N_NEW, frozenset())
    (alone,) = answered(RAGGED, stop, rows=[2])
    (again,) = answered(RAGGED, stop, drafts_of([*some_ids(3, 8), *alone.ids[1:]]), rows=[2])
    assert again.ids == alone.ids
    assert again.n_passes <= 7


def test_every_allocator_answers_the_same_alone_together_and_drafted(
    llama: Any, some_ids: Ids, script: Callable[[str], Any]
) -> None:
    script("task_prompts")
    same_tokens = script("same_tokens")
    n_layers, n_heads = llama.loaded.shape.n_layers, llama.loaded.shape.n_kv_heads
    mean = torch.linspace(0.99, 0.01, 99).double().view(99, 1, 1)
    apart = torch.tensor([1.0, -1.0]).double().repeat(n_layers * n_heads // 2).view(n_layers, n_heads)
    curve = mean + 0.8 * torch.minimum(mean, 1 - mean) * apart
    profile = Profile("of every fitted one", {"curve": curve, "score": 1.5 + apart})
    methods = [
        one.with_profiles(dict.fromkeys(one.owners(), profile)) for one in same_tokens.every_method(["0.3", "0.6"])
    ]
    found, alone = same_tokens.partings(
        llama.loaded, some_ids(N_TOKENS, 0), some_ids(4, 1), methods, Stop(N_NEW, frozenset())
    )
    assert {method.allocator.name for method in methods} >= {"full", "uniform", "lukv", "adakv", "pyramidkv", "global"}
    assert len({tuple(one.ids) for one in alone}) > len(methods) // 2
    assert [one for one in found if one.lead > same_tokens.ALLOWED] == []


def test_the_logits_after_each_drafted_token_are_handed_out(
    llama: Any, some_ids: Ids, configurations: list[Any]
) -> None:
    context = prefill(llama.loaded, some_ids(N_TOKENS, 0), {})
    drafted, seen = some_ids(6, 5), []

    def choose(logits: Tensor, rows: Tensor) -> Tensor:
        seen.append((logits, rows.tolist()))
        return greedy(logits, rows)

    cache = RAGGED.build(context, configurations[:2], 12)
    decode(llama.loaded, cache, [some_ids(4, 1)] * 2, Stop(8, frozenset()), choose, drafts_of(drafted))
    logits, rows = seen[0]
    assert rows == [0] * 7 + [1] * 7
    forced: list[Tensor] = []

    def teacher(logits: Tensor, rows: Tensor) -> Tensor:
        forced.append(logits)
        return torch.tensor([drafted[len(forced) - 1]] * len(rows)) if len(forced) <= 6 else greedy(logits, rows)

    cache = RAGGED.build(context, configurations[:2], 12)
    decode(llama.loaded, cache, [some_ids(4, 1)] * 2, Stop(7, frozenset()), teacher)
    torch.testing.assert_close(logits.view(2, 7, -1).transpose(0, 1), torch.stack(forced), atol=1e-3, rtol=0)


def test_logits_that_are_not_finite_fail_an_answer_only_if_a_token_is_chosen_from_them(
    llama: Any, some_ids: Ids, configurations: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.bench.engine import decode as module

    context = prefill(llama.loaded, some_ids(N_TOKENS, 0), {})
    plain = decode(llama.loaded, RAGGED.build(context, configurations[:1], 9), [[1]], Stop(6, frozenset())).rows[0]
    wrong = [*plain.ids[:2], *(token % 40 + 1 for token in plain.ids[2:])]
    real = module.feed
    for at, fails in ((3, False), (2, True), (0, True)):

        def broken(*arguments: Any, at: int = at) -> Tensor:
            logits = real(*arguments)
            if len(logits) > 1:
                logits[at] = float("nan")
            return logits

        monkeypatch.setattr(module, "feed", broken)
        cache = RAGGED.build(context, configurations[:1], 9)
        with pytest.raises(ArithmeticError, match="not finite") if fails else nullcontext():
            rows = decode(llama.loaded, cache, [[1]], Stop(6, frozenset()), drafts=drafts_of(wrong)).rows
            assert rows[0].ids == plain.ids
