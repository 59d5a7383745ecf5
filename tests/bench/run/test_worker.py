"""The worker: units in, answers out, in this process or in another, with no database and no task anywhere near it."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.unit import Seconds, Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker
from lukv_bench.scorers.keydiff import KeyDiff

CHILD = """
import pickle, sys, torch
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.run.worker import Worker
loaded = ready_model(sys.argv[1], torch.device("cpu"), "float32")
unit, batch = pickle.load(sys.stdin.buffer)
pickle.dump(list(Worker(loaded, {}).answers(unit, batch, lambda step: None)), sys.stdout.buffer)
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
    return lambda unit, batch=1: list(Worker(loaded, {}).answers(unit, batch, lambda step: None))


@pytest.mark.parametrize("batch", [1, 8])
def test_another_process_answers_a_pickled_unit_alike(
    folder: Path, unit: Unit, answered: Callable[..., list[UnitAnswer]], batch: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], input=pickle.dumps((unit, batch)), capture_output=True, check=True
    )
    there, here = untimed(pickle.loads(ended.stdout)), untimed(answered(unit, batch))
    assert there == here
    assert [answer.error for answer in here] == [None] * 3
    assert all(answer.n_generated_tokens == 8 for answer in here)


def test_a_configuration_answers_alone_as_beside_others(unit: Unit, answered: Callable[..., list[UnitAnswer]]) -> None:
    together = untimed(answered(unit, 8))
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
    assert ours <= {"lukv_bench.db", "lukv_bench.db.folders"}, "it knows folders alone, and the cache folder is one"
    assert not {"sqlalchemy", "lm_eval", "datasets"} & set(modules)
