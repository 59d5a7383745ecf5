"""The worker: units in, answers out, in this process or in another, with no database and no task anywhere near it."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import ONE_SHOT, Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run import answer
from lukv_bench.bench.run.batching import Batching, n_fitting
from lukv_bench.bench.run.unit import Seconds, Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker
from lukv_bench.scorers.keydiff import KeyDiff

CHILD = """
import pickle, sys, torch
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.run.worker import Worker
loaded = ready_model(sys.argv[1], torch.device("cpu"), "float32")
unit, batchings = pickle.load(sys.stdin.buffer)
answers = [list(Worker(loaded, {}).answers(unit, batching, lambda step: None)) for batching in batchings]
pickle.dump(answers, sys.stdout.buffer)
"""


@pytest.fixture(scope="module")
def folder(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a Llama with random weights and the default model's tokenizer."""
    folder = tmp_path_factory.mktemp("random-llama")
    tokenizer = AutoTokenizer.from_pretrained(real_model)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, initializer_range=0.3, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return ready_model(str(folder), torch.device("cpu"), "float32")


@pytest.fixture
def unit() -> Unit:
    """Three configurations: the full cache, one static allocator, one that looks at each layer's scores."""
    budgets = [Budget(ratio=parse_ratio("0.6"))]
    methods = build_methods(["full", "uniform", "adakv"], ["keydiff"], budgets, None, None, baselines=False)
    ids = torch.randint(10, 40_000, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    return Unit(
        sample_id="sample",
        context=tuple(ids[:80]),
        question=tuple(ids[80:]),
        n_sequence=100,
        stop=Stop(max_new_tokens=8, eos=frozenset()),
        seed=3,
        configurations=tuple(UnitConfiguration(method.label, method) for method in methods),
    )


def untimed(answers: list[UnitAnswer]) -> list[UnitAnswer]:
    return [replace(answer, seconds=Seconds()) for answer in answers]


@pytest.fixture
def answered(loaded: LoadedModel) -> Callable[..., list[UnitAnswer]]:
    def answered(unit: Unit, batching: Batching | None = None) -> list[UnitAnswer]:
        return list(Worker(loaded, {}).answers(unit, batching or Batching(), lambda step: None))

    return answered


def test_another_process_answers_a_pickled_unit_alike(
    folder: Path, unit: Unit, answered: Callable[..., list[UnitAnswer]]
) -> None:
    batchings = [Batching(), Batching(None, drafts=True)]
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        input=pickle.dumps((unit, batchings)),
        capture_output=True,
        check=True,
    )
    for batching, answers in zip(batchings, pickle.loads(ended.stdout), strict=True):
        there, here = untimed(answers), untimed(answered(unit, batching))
        assert there == here, batching
        assert [answer.error for answer in here] == [None] * 3
        assert all(answer.n_generated_tokens == 8 for answer in here)


def test_a_configuration_answers_alone_as_beside_others(unit: Unit, answered: Callable[..., list[UnitAnswer]]) -> None:
    together = untimed(answered(unit, Batching(8)))
    alone = [answered(replace(unit, configurations=(one,))) for one in unit.configurations]
    assert [answer for (answer,) in map(untimed, alone)] == together


def test_a_failure_is_its_own_answers_alone(
    unit: Unit, answered: Callable[..., list[UnitAnswer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = untimed(answered(unit))
    monkeypatch.setattr(KeyDiff, "score", lambda self, layer: layer.keys)
    full, *others = untimed(answered(unit))
    assert full == expected[0]
    assert all(answer.text is None and "scores have shape" in str(answer.error) for answer in others)


def test_the_worker_needs_no_database_no_task_and_no_metric() -> None:
    program = "import sys, lukv_bench.bench.run.worker; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in modules if name.startswith(("lukv_bench.db", "lukv_bench.tasks"))}
    assert "lukv_bench.bench.run.worker" in modules
    known = {"lukv_bench.db", *(f"lukv_bench.db.{name}" for name in ("folders", "cache_sizes", "sizes"))}
    assert ours <= known, "it knows folders, of which the cache's is one, and how bytes are counted"
    assert not {"sqlalchemy", "lm_eval", "datasets"} & set(modules)


def texts(answers: list[UnitAnswer]) -> dict[str, tuple[str | None, str | None, int | None, int | None, str | None]]:
    return {
        one.configuration_id: (one.text, one.stop_reason, one.n_generated_tokens, one.kv_bytes_kept, one.error)
        for one in answers
    }


@pytest.fixture
def every_allocator(unit: Unit) -> Unit:
    """The full cache, and each installed allocator that needs no profile at several budgets."""
    names = {entry.name for entry in entry_points(group="lukv_bench.allocators")}
    specs = [*sorted(names - {"shuffled"}), "shuffled:of=adakv"]
    budgets = [Budget(ratio=parse_ratio(ratio)) for ratio in ("0.2", "0.5", "0.8")]
    methods = build_methods(specs, ["keydiff"], budgets, None, None, baselines=False)
    served = [method for method in methods if not method.owners()]
    assert {method.label.split()[0] for method in served} >= {"full", "uniform", "pyramidkv", "adakv", "global"}
    chosen = tuple(UnitConfiguration(method.label, method) for method in served)
    return replace(unit, configurations=chosen, reference=unit.question[:2])


def test_drafted_batched_and_alone_every_allocator_answers_the_same(
    every_allocator: Unit, answered: Callable[..., list[UnitAnswer]]
) -> None:
    alone = answered(every_allocator)
    assert len({answer.text for answer in alone}) > 2, "configurations that answer alike test nothing"
    assert all(answer.n_passes == answer.n_steps == 8 for answer in alone)
    for batching in (Batching(4), Batching(4, drafts=True), Batching(None, drafts=True), Batching(1, drafts=True)):
        answers = answered(every_allocator, batching)
        assert texts(answers) == texts(alone), batching
        saved = any(answer.n_passes < answer.n_steps for answer in answers)
        assert saved == batching.drafts or batching.most is None
        assert all((answer.seconds.ttft_s is None) == (batching != Batching(1)) for answer in answers)
    assert answers[0].configuration_id == "full", "the first draft is the full cache's answer"


def test_a_configuration_alone_is_drafted_from_its_prompt_and_itself(
    unit: Unit, answered: Callable[..., list[UnitAnswer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "greedy", lambda logits, rows: logits[:, :2].argmax(dim=-1))  # two tokens repeat soon
    long = replace(unit, stop=Stop(max_new_tokens=60, eos=frozenset()), n_sequence=160)
    for configuration in long.configurations:
        only = replace(long, configurations=(configuration,))
        (plain,), (drafted,) = answered(only), answered(only, Batching(None, drafts=True))
        assert (drafted.text, drafted.n_steps) == (plain.text, plain.n_steps)
        assert drafted.n_passes < plain.n_passes == 60
        assert drafted.seconds.tpot_s is None


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), torch.OutOfMemoryError()]
)
def test_a_batch_that_memory_does_not_hold_is_halved_and_no_later_one_is_larger(
    every_allocator: Unit, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, sizes = answer.decode, []

    def cramped(loaded: LoadedModel, cache: Any, chunks: Any, *more: Any) -> Any:
        sizes.append(len(chunks))
        if len(chunks) > 3:
            raise error
        return real(loaded, cache, chunks, *more)

    n, worker = len(every_allocator.configurations), Worker(loaded, {})
    expected = texts(list(worker.answers(every_allocator, Batching(), lambda step: None)))
    monkeypatch.setattr(answer, "decode", cramped)
    assert texts(list(worker.answers(every_allocator, Batching(None), lambda step: None))) == expected
    assert sizes[0] == n
    assert sum(size for size in sizes if size <= 3) == n
    sizes.clear()
    assert texts(list(worker.answers(every_allocator, Batching(None), lambda step: None))) == expected
    assert max(sizes) <= 3
    assert sum(sizes) == n


def test_as_many_decode_together_as_memory_holds(every_allocator: Unit, loaded: LoadedModel) -> None:
    waiting = every_allocator.configurations
    fitting = [
        n_fitting(loaded, every_allocator, waiting, Batching(None, max_memory=max_memory))
        for max_memory in (0, *(2**n for n in range(40)))
    ]
    assert fitting[0] == 1
    assert fitting == sorted(fitting)
    assert fitting[-1] == len(waiting)
    assert len(set(fitting)) > 2
    assert n_fitting(loaded, every_allocator, waiting, Batching(None)) == len(waiting), "they are tiny"


def test_configurations_that_evict_in_blocks_read_the_context_themselves(loaded: LoadedModel, unit: Unit) -> None:
    budgets = [Budget(ratio=parse_ratio("0.6"))]
    schedules = [Schedule(8), ONE_SHOT]
    methods = build_methods(["full", "uniform", "pyramidkv"], ["keydiff"], budgets, None, None, False, schedules)
    many = replace(unit, configurations=tuple(UnitConfiguration(one.label, one) for one in methods))
    steps: list[str] = []
    answers = {one.configuration_id: one for one in Worker(loaded, {}).answers(many, Batching(None), steps.append)}
    assert set(answers) == {one.label for one in methods}
    assert [one.error for one in answers.values()] == [None] * 5
    assert steps.count("prefill") == 3
    for method in methods:
        alone = replace(unit, configurations=(UnitConfiguration("", method),))
        (answer,) = Worker(loaded, {}).answers(alone, Batching(), lambda _: None)
        together = answers[method.label]
        assert (answer.text, answer.keep_counts) == (together.text, together.keep_counts)
        assert (answer.kv_bytes_full, answer.kv_bytes_kept) == (together.kv_bytes_full, together.kv_bytes_kept)
