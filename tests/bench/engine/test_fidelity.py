"""How answers over evicted caches differ from the full cache's, against transformers with masks in float64."""

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from lukv_bench.bench.engine import fidelity
from lukv_bench.bench.engine.fidelity import Fidelity, divergences, mean_nll
from lukv_bench.bench.engine.prompt import continuation_ids
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.eviction import read_context, select_kept
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import ONE_SHOT, Schedule
from lukv_bench.bench.run import worker
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.unit import Seconds, Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker

CONTEXT, QUESTION, ANSWER = 63, 6, 12
DRAFTING = Batching(None, drafts=True, max_memory=2**30)


@pytest.fixture
def unit(some_ids: Callable[..., list[int]]) -> Unit:
    """The full cache and four that lose much of it."""
    budgets = [Budget(keep_tokens=n) for n in (8, 24)]
    methods = build_methods(["full", "uniform", "adakv"], ["keydiff"], budgets, 2, 2, baselines=False)
    return Unit(
        sample_id="sample",
        context=tuple(some_ids(CONTEXT, 1)),
        question=tuple(some_ids(QUESTION, 2)),
        n_sequence=CONTEXT + QUESTION + ANSWER,
        stop=Stop(ANSWER, frozenset()),
        seed=3,
        configurations=tuple(UnitConfiguration(method.label, method) for method in methods),
        reference=tuple(some_ids(5, 3)),
    )


def answered(tiny: Any, unit: Unit, batching: Batching = DRAFTING) -> dict[str, UnitAnswer]:
    answers = Worker(tiny.loaded, {}).answers(unit, batching, lambda _: None)
    return {one.configuration_id: replace(one, seconds=Seconds()) for one in answers}


def answer_of(tiny: Any, unit: Unit) -> list[int]:
    """The full cache's answer token by token."""
    (full,) = answered(tiny, replace(unit, configurations=unit.configurations[:1]), Batching(1)).values()
    return tiny.loaded.tokenizer.spell(full.text)


@pytest.fixture
def expected(unsplit_logits: Callable[..., Tensor]) -> Callable[..., dict[str, Fidelity]]:
    """Every fidelity from one pass over the whole sequence in float64, without a cache, eviction done by masks."""

    def expected(tiny: Any, unit: Unit, answer: list[int]) -> dict[str, Fidelity]:
        plain = copy.deepcopy(tiny.plain).double()
        methods = [one.method for one in unit.configurations]
        context = read_context(tiny.loaded, unit.context, methods, unit.seed, unit.n_sequence, {})
        first = CONTEXT + QUESTION - 1

        def logits(method: Any, fed: list[int]) -> Tensor:
            masks = [layer.mask for layer in select_kept(tiny.loaded, method, context, unit.seed, {}).kept]
            ids = [*unit.context, *unit.question, *fed]
            return unsplit_logits(plain, ids, masks)[first:].double().log_softmax(-1)

        def nll(method: Any) -> float:
            targets = torch.tensor(unit.reference).unsqueeze(1)
            return -float(logits(method, list(unit.reference[:-1])).gather(1, targets).mean())

        full = logits(methods[0], answer[:-1])
        assert full.argmax(-1).tolist() == answer
        found = {}
        for one in unit.configurations:
            other = logits(one.method, answer[:-1])
            same = (other.argmax(-1) == full.argmax(-1)).tolist()
            kl = float((full.exp() * (full - other)).sum(-1).mean())
            parted_at = None if all(same) else len(list(takewhile(bool, same)))
            agreement = sum(same) / len(answer)
            found[one.id] = Fidelity(
                len(answer), kl, agreement, parted_at, len(unit.reference), nll(one.method), nll(methods[0])
            )
        return found

    return expected


def assert_close(got: Fidelity | None, wanted: Fidelity) -> None:
    assert got is not None
    exact = ("n_tokens", "agreement", "parted_at", "n_reference_tokens")
    assert [getattr(got, name) for name in exact] == [getattr(wanted, name) for name in exact]
    for name in ("kl_nats", "reference_nll", "full_reference_nll"):
        assert getattr(got, name) == pytest.approx(getattr(wanted, name), rel=1e-3, abs=1e-4), name


def test_fidelity_is_that_of_masked_attention_in_float64(tiny: Any, unit: Unit, expected: Callable[..., Any]) -> None:
    wanted = expected(tiny, unit, answer_of(tiny, unit))
    assert max(one.kl_nats for one in wanted.values()) > 0.1, "an eviction that nobody feels tests nothing"
    for name, one in answered(tiny, unit).items():
        assert_close(one.fidelity, wanted[name])


def test_the_full_cache_is_like_itself_exactly(llama: Any, unit: Unit) -> None:
    own = answered(llama, unit)["full"].fidelity
    assert own is not None
    assert (own.kl_nats, own.agreement, own.parted_at) == (0.0, 1.0, None)
    assert own.reference_nll == own.full_reference_nll


def test_answers_and_everything_else_are_the_same_without_it(tiny: Any, unit: Unit) -> None:
    for batching in (DRAFTING, replace(DRAFTING, most=2)):
        compared = answered(tiny, unit, batching)
        plain = answered(tiny, unit, replace(batching, fidelity=False))
        assert all(one.fidelity is not None for one in compared.values())
        assert all(one.fidelity is None for one in plain.values())
        for name, one in compared.items():
            assert replace(one, fidelity=None, n_passes=0) == replace(plain[name], n_passes=0)


def test_it_does_not_depend_on_whether_the_full_cache_is_a_configuration(llama: Any, unit: Unit) -> None:
    compared = answered(llama, unit)
    without = answered(llama, replace(unit, configurations=unit.configurations[1:]))
    assert without == {name: one for name, one in compared.items() if name != "full"}


@pytest.mark.parametrize(("fidelity", "is_measured"), [(None, False), (True, True), (False, False)])
def test_a_configuration_alone_is_compared_only_if_asked(
    llama: Any, unit: Unit, fidelity: bool | None, is_measured: bool
) -> None:
    only = replace(unit, configurations=unit.configurations[2:3])
    (alone,) = answered(llama, only, replace(DRAFTING, fidelity=fidelity)).values()
    together = answered(llama, unit)[alone.configuration_id]
    assert alone.text == together.text
    assert alone.fidelity == (together.fidelity if is_measured else None)


def test_a_configuration_that_evicts_in_blocks_is_compared_too(llama: Any, unit: Unit) -> None:
    methods = build_methods(["uniform"], ["keydiff"], [Budget(keep_tokens=24)], 2, 2, False, [ONE_SHOT, Schedule(16)])
    more = tuple(UnitConfiguration(method.label, method) for method in methods)
    answers = answered(llama, replace(unit, configurations=(unit.configurations[0], *more)))
    fidelities = [one.fidelity for one in answers.values()]
    assert len({one.kl_nats for one in fidelities if one is not None}) == 3


def test_a_reference_that_is_what_the_full_cache_says_costs_no_pass(
    llama: Any, unit: Unit, expected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = replace(unit, reference=tuple(answer_of(llama, unit)[:4]))
    wanted = expected(llama, right, answer_of(llama, unit))
    monkeypatch.setattr("lukv_bench.bench.run.answer.reference_nlls", None)
    for name, one in answered(llama, right).items():
        assert_close(one.fidelity, wanted[name])


def test_without_a_reference_there_is_no_likelihood(llama: Any, unit: Unit) -> None:
    for one in answered(llama, replace(unit, reference=())).values():
        assert one.fidelity is not None
        assert (one.fidelity.reference_nll, one.fidelity.n_reference_tokens) == (None, None)


def test_an_answer_that_eos_ends_is_compared_with_its_eos(llama: Any, unit: Unit, expected: Callable[..., Any]) -> None:
    tokens = answer_of(llama, unit)
    eos = next(token for place, token in enumerate(tokens) if place > 2 and token not in tokens[:place])
    ended = tokens[: tokens.index(eos) + 1]
    stopping = replace(unit, stop=Stop(ANSWER, frozenset((eos,))))
    wanted = expected(llama, stopping, ended)
    for name, one in answered(llama, stopping).items():
        assert_close(one.fidelity, wanted[name])


def test_a_full_cache_that_fails_is_said_and_takes_no_answer_along(
    llama: Any, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ArithmeticError("no good")

    plain = answered(llama, unit, replace(DRAFTING, fidelity=False))
    monkeypatch.setattr(worker, "answer_full", broken)
    for name, one in answered(llama, unit).items():
        assert (one.text, one.fidelity) == (plain[name].text, None)
        (event,) = [event for event in one.events if event["event"] == "no_fidelity"]
        assert "no good" in event["error"]


def test_divergence_is_exact_where_distributions_are_close_or_far_or_long() -> None:
    made = torch.Generator().manual_seed(0)
    full = 8 * torch.randn(70, 300, generator=made)
    others = [full, full + 1e-3 * torch.randn(70, 300, generator=made), -full]
    for got, other in zip(divergences(full, others), others, strict=True):
        own, evicted = full.double().log_softmax(-1), other.double().log_softmax(-1)
        wanted = torch.nn.functional.kl_div(evicted, own, reduction="none", log_target=True).sum(-1)
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def test_a_likelihood_is_that_of_the_tokens_and_none_where_logits_are_not_finite() -> None:
    logits = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    tokens = list(range(35))
    wanted = torch.nn.functional.cross_entropy(logits[:35].double(), torch.tensor(tokens))
    assert mean_nll(logits, tokens) == pytest.approx(float(wanted), rel=1e-12)
    logits[3, 4] = float("nan")
    assert mean_nll(logits, tokens) is None
    assert mean_nll(logits, tokens[:3]) is not None


@pytest.mark.parametrize(
    ("prompt", "text", "whole"),
    [
        ("The number is", "4457", "The number is 4457"),
        ("The number is ", "4457", "The number is 4457"),
        ("<|im_start|>assistant\n", "Blue", "<|im_start|>assistant\nBlue"),
        ("The number is", " 4457", "The number is 4457"),
        ("Answer: (", "A", "Answer: (A"),
        ("\u7c7b\u522b\uff1a", "\u4f53\u80b2", "\u7c7b\u522b\uff1a\u4f53\u80b2"),
    ],
)
def test_a_continuation_has_the_tokens_that_follow_its_prompt(
    real_model: Path, prompt: str, text: str, whole: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_model)
    before, after = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, whole))
    assert [*before, *continuation_ids(tokenizer, prompt, text)] == after


@pytest.mark.parametrize("is_asked", [None, True])
def test_blocks_that_share_no_context_are_compared_if_asked(llama: Any, unit: Unit, is_asked: bool | None) -> None:
    methods = build_methods(["uniform"], ["keydiff"], [Budget(keep_tokens=24)], 2, 2, False, [Schedule(16)])
    only = replace(unit, configurations=tuple(UnitConfiguration(method.label, method) for method in methods))
    together = answered(llama, replace(unit, configurations=(*unit.configurations[:2], *only.configurations)))
    (alone,) = answered(llama, only, replace(DRAFTING, fidelity=is_asked)).values()
    assert alone.text == together[alone.configuration_id].text
    assert alone.fidelity == (together[alone.configuration_id].fidelity if is_asked else None)


@pytest.mark.parametrize("configuration", [0, 2])
def test_a_comparison_that_fails_is_said_and_takes_no_answer_along(
    llama: Any, unit: Unit, monkeypatch: pytest.MonkeyPatch, configuration: int
) -> None:
    plain = answered(llama, unit, replace(DRAFTING, fidelity=False))
    name = unit.configurations[configuration].id
    broken = "divergences" if configuration else "mean_nll"

    def fails(*_: Any) -> Any:
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(fidelity, broken, fails)
    one = answered(llama, unit)[name]
    assert (one.text, one.error, one.fidelity) == (plain[name].text, None, None)
    assert any(event["event"] == "no_fidelity" and "too much" in event["error"] for event in one.events)
