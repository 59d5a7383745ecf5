"""Several samples on one context: each is answered as if it were asked alone, over a context that is read once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import ONE_SHOT, Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run import worker
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.executors.pool import Job
from lukv_bench.bench.run.unit import Question, Seconds, Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker
from lukv_bench.scorers.keydiff import KeyDiff

from ...tiny_model import make_model

STOP = Stop(max_new_tokens=4, eos=frozenset())
WAYS = {
    "one by one": Batching(1),
    "two together": Batching(2),
    "drafted": Batching(None, drafts=True),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = make_model(tmp_path_factory.mktemp("models") / "small", initializer_range=0.3)
    return ready_model(str(folder), torch.device("cpu"), "float32")


def configurations(*names: str, schedules: tuple[Schedule, ...] = (ONE_SHOT,)) -> tuple[UnitConfiguration, ...]:
    budgets = [Budget(ratio=parse_ratio(ratio)) for ratio in ("0.4", "0.7")]
    methods = build_methods(names, ["keydiff", "random"], budgets, None, None, baselines=False, schedules=schedules)
    return tuple(UnitConfiguration(method.label, method) for method in methods)


def unit(*chosen: UnitConfiguration, n: int = 4) -> Unit:
    """Questions of different lengths on 60 tokens."""
    ids = torch.randint(10, 900, (60 + 8 * n,), generator=torch.Generator().manual_seed(1)).tolist()
    asked = [tuple(ids[60 + 8 * each : 60 + 8 * each + 2 + each % 6]) for each in range(n)]
    first, *more = (
        Question(f"s{number}", ids_of, 60 + len(ids_of) + 4, STOP, ids_of[:1]) for number, ids_of in enumerate(asked)
    )
    return Unit(
        sample_id=first.sample_id,
        context=tuple(ids[:60]),
        question=first.question,
        n_sequence=first.n_sequence,
        stop=STOP,
        seed=3,
        configurations=chosen,
        reference=first.reference,
        more=tuple(more),
    )


def answered(loaded: LoadedModel, asked: Unit, batching: Batching) -> dict[tuple[str, str], UnitAnswer]:
    given = list(Worker(loaded, {}).answers(asked, batching, lambda step: None))
    assert max(Counter((one.sample_id, one.configuration_id) for one in given).values()) == 1
    return {(one.sample_id, one.configuration_id): replace(one, seconds=Seconds()) for one in given}


def one_by_one(loaded: LoadedModel, asked: Unit, batching: Batching) -> dict[tuple[str, str], UnitAnswer]:
    alone: dict[tuple[str, str], UnitAnswer] = {}
    for each in asked.apart():
        assert not each.more
        alone |= answered(loaded, each, batching)
    return alone


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_those_of_asking_one_by_one(loaded: LoadedModel, way: str) -> None:
    asked = unit(*configurations("full", "adakv"))
    together = answered(loaded, asked, WAYS[way])
    assert together == one_by_one(loaded, asked, WAYS[way])
    assert len(together) == 4 * 5
    assert all((one.fidelity is not None) == (way == "drafted") for one in together.values())
    assert len({one.text for one in together.values()}) > 4, "the questions and the methods tell answers apart"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("schedule", [ONE_SHOT, Schedule(16)])
def test_a_configuration_alone_answers_all_over_one_evicted_cache(
    loaded: LoadedModel, way: str, schedule: Schedule
) -> None:
    (first, *_) = configurations("uniform", schedules=(schedule,))
    asked = unit(first)
    together = answered(loaded, asked, WAYS[way])
    assert together == one_by_one(loaded, asked, WAYS[way])
    assert len({one.text for one in together.values()}) > 1


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a context is read, and a configuration chooses what it keeps."""
    counts: Counter[str] = Counter()
    for name in ("read_context", "evict_alone", "select_kept"):
        real: Callable[..., Any] = getattr(worker, name)

        def counted(*args: Any, name: str = name, real: Callable[..., Any] = real, **more: Any) -> Any:
            counts[name] += 1
            return real(*args, **more)

        monkeypatch.setattr(worker, name, counted)
    return counts


@pytest.mark.parametrize(("way", "n"), [("one by one", 3), ("two together", 3), ("drafted", 50)])
def test_fifty_questions_cost_one_reading_and_one_eviction_each(
    loaded: LoadedModel, way: str, n: int, counts: Counter[str]
) -> None:
    chosen = configurations("full", "uniform")[:3]
    assert len(answered(loaded, unit(*chosen, n=n), WAYS[way])) == n * 3
    assert counts == {"read_context": 1, "select_kept": 3}
    counts.clear()
    assert len(answered(loaded, unit(chosen[1], n=n), WAYS[way])) == n
    assert counts == {"evict_alone": 1}


def test_a_configuration_that_fails_fails_on_every_question_and_no_other_does(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = unit(*configurations("full", "uniform"))
    expected = answered(loaded, asked, Batching(2))
    monkeypatch.setattr(KeyDiff, "score", lambda self, layer: layer.keys)
    given = answered(loaded, asked, Batching(2))
    for key, one in given.items():
        if "keydiff" in key[1]:
            assert "scores have shape" in str(one.error)
        else:
            assert one == expected[key]
    (only,) = [one for one in asked.configurations if one.id.endswith("keydiff @ 0.4")]
    alone = answered(loaded, replace(asked, configurations=(only,)), Batching(1))
    assert [one.text for one in alone.values()] == [None] * 4


def test_what_is_there_already_is_not_answered_again(loaded: LoadedModel) -> None:
    """A worker that died gave some of the answers."""
    asked = unit(*configurations("full", "uniform"))
    whole = answered(loaded, asked, Batching(2))
    job, there = Job("key", asked), [key for number, key in enumerate(whole) if number % 3 == 0]
    for key in there:
        job.remove(whole[key])
    rest = answered(loaded, job.unit, Batching(2))
    assert rest.keys() == whole.keys() - set(there)
    assert {key: one.text for key, one in rest.items()} == {key: whole[key].text for key in rest}
    failed = {(one.sample_id, one.configuration_id) for one in job.failures("it died")}
    assert failed == rest.keys()
    for key in rest:
        job.remove(whole[key])
    assert job.unit.apart() == []
    assert list(Worker(loaded, {}).answers(job.unit, Batching(2), lambda step: None)) == []
