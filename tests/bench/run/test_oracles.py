"""Oracles among the configurations of a unit: their future is that of a question, and no other answer changes."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.added import Added
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run import foresight
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.unit import Question, Seconds, Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker

from ...tiny_model import make_model

STOP = Stop(max_new_tokens=4, eos=frozenset())
WAYS = {"one by one": Batching(1), "two together": Batching(2), "drafted": Batching(None, drafts=True)}
CEILINGS = {"oracle x oracle @ 0.7", "uniform x oracle @ 0.7", "oracle x keydiff @ 0.7"}
Answers = dict[tuple[str, str], UnitAnswer]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = make_model(tmp_path_factory.mktemp("models") / "small", initializer_range=0.3)
    return ready_model(str(folder), torch.device("cpu"), "float32")


@pytest.fixture
def asked() -> Unit:
    """Three questions on 60 tokens, each with a reference of its own."""
    budgets = [Budget(ratio=parse_ratio("0.7"))]
    methods = build_methods(["full", "adakv"], ["keydiff"], budgets, None, None, False, added=Added(oracles=True))
    ids = torch.randint(10, 900, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    first, *more = (
        Question(f"s{at}", tuple(ids[at : at + 4]), 70, STOP, tuple(ids[at + 4 : at + 8])) for at in (60, 70, 80)
    )
    return Unit(
        sample_id=first.sample_id,
        context=tuple(ids[:60]),
        question=first.question,
        n_sequence=70,
        stop=STOP,
        seed=3,
        configurations=tuple(UnitConfiguration(method.label, method) for method in methods),
        reference=first.reference,
        more=tuple(more),
    )


def answered(loaded: LoadedModel, unit: Unit, batching: Batching) -> Answers:
    given = Worker(loaded, {}).answers(unit, batching, lambda step: None)
    return {(one.sample_id, one.configuration_id): replace(one, seconds=Seconds()) for one in given}


def kept(answers: Answers, configuration: str) -> set[Any]:
    return {one.kept_hash for (_, name), one in answers.items() if name == configuration}


@pytest.mark.parametrize("way", WAYS)
def test_each_question_has_its_own_oracle_and_is_answered_as_if_asked_alone(
    loaded: LoadedModel, asked: Unit, way: str
) -> None:
    together = answered(loaded, asked, WAYS[way])
    alone: Answers = {}
    for each in asked.apart():
        alone |= answered(loaded, each, WAYS[way])
    assert together == alone
    assert {name for _, name in together} == {one.id for one in asked.configurations} > CEILINGS
    assert not any(one.error for one in together.values())
    for name in CEILINGS:
        assert len(kept(together, name)) == 3, name
    assert len(kept(together, "adakv x keydiff @ 0.7")) == 1


@pytest.mark.parametrize("way", WAYS)
def test_others_answer_as_without_oracles_and_pay_for_no_future(
    loaded: LoadedModel, asked: Unit, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    real = foresight.read_future

    def counted(*arguments: Any, **more: Any) -> Any:
        counts["read"] += 1
        return real(*arguments, **more)

    monkeypatch.setattr(foresight, "read_future", counted)
    together = answered(loaded, asked, WAYS[way])
    assert counts["read"] == 3, "once for each question"
    plain = tuple(one for one in asked.configurations if not one.method.is_oracle)
    without = answered(loaded, replace(asked, configurations=plain), WAYS[way])
    assert counts["read"] == 3
    drafted = {"n_passes": 0, "events": ()}  # others of a batch change how many passes it takes, and its layout
    assert {key: replace(one, **drafted) for key, one in without.items()} == {
        key: replace(one, **drafted) for key, one in together.items() if key in without
    }


def test_an_oracle_alone_answers_as_beside_others(loaded: LoadedModel, asked: Unit) -> None:
    together = answered(loaded, asked, Batching(2))
    for one in asked.configurations:
        if one.method.is_oracle:
            alone = answered(loaded, replace(asked, configurations=(one,)), Batching(1))
            assert {key: each.text for key, each in alone.items()} == {
                key: each.text for key, each in together.items() if key[1] == one.id
            }


def test_without_a_reference_the_oracles_of_that_question_fail_and_nothing_else(
    loaded: LoadedModel, asked: Unit
) -> None:
    first, second = asked.more
    lacking = replace(asked, more=(replace(first, reference=()), second))
    given = answered(loaded, lacking, Batching(2))
    failed = {key for key, one in given.items() if one.error is not None}
    assert failed == {(first.sample_id, name) for name in CEILINGS}
    assert {given[key].error for key in failed} == {
        "NoReferenceError: the sample has no reference answer, whose attention is what an oracle reads"
    }


def test_what_an_interrupted_unit_lacks_is_answered_alike(loaded: LoadedModel, asked: Unit) -> None:
    whole = answered(loaded, asked, Batching(2))
    rest = replace(asked, answered=frozenset(key for number, key in enumerate(whole) if number % 2))
    again = answered(loaded, rest, Batching(2))
    assert again.keys() == whole.keys() - rest.answered
    assert {key: (one.text, one.kept_hash) for key, one in again.items()} == {
        key: (whole[key].text, whole[key].kept_hash) for key in again
    }
