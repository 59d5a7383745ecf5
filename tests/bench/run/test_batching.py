"""How many configurations fit a memory: what is counted, against what torch allocates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lukv_bench.bench.engine.fidelity import compared_bytes, divergences
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run import worker
from lukv_bench.bench.run.batching import Batching, Held, n_fitting
from lukv_bench.bench.run.unit import Question, Unit, UnitConfiguration
from lukv_bench.bench.run.worker import Worker

from ...tiny_model import make_model

N_TOKENS, N_NEW = 1500, 4
CPU = torch.device("cpu")


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes that a call has allocated at once, beside those before, as torch's allocator reports them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    assert profiler.profiler is not None
    results: Any = profiler.profiler.kineto_results
    held = peak = 0
    memory = [one for one in results.events() if one.name() == "[memory]"]
    for event in sorted(memory, key=lambda one: one.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize("n_tokens", [5, 80])
@pytest.mark.parametrize("n_rows", [1, 4])
def test_the_comparison_with_the_full_cache_takes_what_is_counted(n_tokens: int, n_rows: int) -> None:
    full, *rows = torch.randn(1 + n_rows, n_tokens, 5000)
    counted = compared_bytes(n_tokens, 5000)
    assert 0.75 * counted < peak_bytes(lambda: divergences(full, rows)) < 1.02 * counted


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return ready_model(str(make_model(tmp_path_factory.mktemp("models") / "small")), CPU, "float32")


@pytest.fixture(scope="module")
def unit() -> Unit:
    """Three questions on a long context."""
    budgets = [Budget(ratio=parse_ratio(ratio)) for ratio in ("0.2", "0.3", "0.4")]
    methods = build_methods(["uniform", "adakv"], ["keydiff", "knorm"], budgets, None, None, baselines=False)
    ids = torch.randint(10, 900, (N_TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()
    stop = Stop(N_NEW, frozenset())
    asked = [Question(f"s{number}", (11 + number, 12), N_TOKENS + 2 + N_NEW, stop) for number in range(3)]
    configurations = tuple(UnitConfiguration(method.label, method) for method in methods)
    first, *more = asked
    return Unit(
        first.sample_id, tuple(ids), first.question, first.n_sequence, stop, 3, configurations, more=tuple(more)
    )


@dataclass(frozen=True)
class Batches:
    """What a worker counted as held before each batch, and took for it."""

    sizes: list[int]
    held: list[int]
    peaks: list[int]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Of every worker of a test."""
    measured = Batches([], [], [])
    decode: Callable[..., Any] = worker.answer_selected
    count: Callable[..., int] = worker.n_fitting

    def answer_selected(*arguments: Any, **more: Any) -> Any:
        answers: list[Any] = []
        measured.peaks.append(peak_bytes(lambda: answers.append(decode(*arguments, **more))))
        return answers[0]

    def n_fitting(*arguments: Any) -> int:
        measured.held.append(arguments[-1].bytes_on[CPU])
        measured.sizes.append(count(*arguments))
        return measured.sizes[-1]

    monkeypatch.setattr(worker, "answer_selected", answer_selected)
    monkeypatch.setattr(worker, "n_fitting", n_fitting)
    return measured


@pytest.mark.parametrize("max_memory", [5 * 2**20, 12 * 2**20])
def test_batches_and_what_is_held_for_the_questions_to_come_fit(
    loaded: LoadedModel, unit: Unit, batches: Batches, max_memory: int
) -> None:
    answers = list(Worker(loaded, {}).answers(unit, Batching(None, drafts=True, max_memory=max_memory), _silent))
    assert [one.error for one in answers] == [None] * 3 * 12
    assert sum(batches.sizes) == 3 * 12
    assert max(batches.sizes) > 1, "several decode together"
    for peak, held in zip(batches.peaks, batches.held, strict=True):
        assert peak + held <= max_memory
    assert max(batches.peaks) > max_memory / 3, "they fill it"
    of_full_answer = N_NEW * 4000 * 4
    assert batches.held[0] == of_full_answer
    assert max(batches.held) == of_full_answer + sum(selection_bytes(loaded, one) for one in unit.configurations)


def selection_bytes(loaded: LoadedModel, one: UnitConfiguration) -> int:
    """Positions and offsets of 8 bytes, and a byte for each token of each head."""
    heads = loaded.shape.n_layers * loaded.shape.n_kv_heads
    n_numbers = heads * one.method.budget.per_head(N_TOKENS) + heads + loaded.shape.n_layers
    return 8 * n_numbers + heads * N_TOKENS


def test_what_is_held_leaves_less_for_a_batch(loaded: LoadedModel, unit: Unit) -> None:
    batching, waiting = Batching(None, max_memory=12 * 2**20), unit.configurations
    counts = [n_fitting(loaded, unit, waiting, batching, 3, Held({CPU: n * 2**20})) for n in range(13)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[6] > counts[12] == 1
    whose_selections_are_held = Held({}, [one.id for one in waiting])
    assert n_fitting(loaded, unit, waiting, batching, 3, whose_selections_are_held) > counts[0], "none is counted twice"


def _silent(step: str) -> None:
    """What a worker reports to."""
