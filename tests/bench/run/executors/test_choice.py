"""What workers are given, before any of them starts."""

import copy
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.executors import local
from lukv_bench.bench.run.executors.choice import Workers, open_executor
from lukv_bench.bench.run.executors.local import LocalProcesses
from lukv_bench.bench.run.executors.setup import WorkerSetup

SETUP = WorkerSetup("m", "r", None, "float32", False, "torch", {}, Batching(None, max_memory=600))


def test_workers_on_one_device_share_what_a_batch_may_take_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[WorkerSetup] = []

    class Process:
        def __init__(self, args: tuple[Any, WorkerSetup], **_: Any) -> None:
            started.append(args[1])

        def start(self) -> None: ...

    pipe = lambda: (None, SimpleNamespace(close=lambda: None))  # noqa: E731
    monkeypatch.setattr(
        local.multiprocessing, "get_context", lambda _: SimpleNamespace(Pipe=pipe, Process=Process), raising=True
    )
    processes = LocalProcesses(SETUP, ("cuda:0", "cuda:1", "cuda:0"))
    for place in range(3):
        processes.start(place)
    limits = [setup.batching.limit(torch.device(str(setup.device))) for setup in started]
    assert [setup.device for setup in started] == ["cuda:0", "cuda:1", "cuda:0"]
    assert limits == [300, 600, 300]


@pytest.mark.parametrize("n_sharing", [1, 4])
def test_a_share_of_what_is_free_is_shared_as_well(monkeypatch: pytest.MonkeyPatch, n_sharing: int) -> None:
    monkeypatch.setattr("lukv_bench.bench.run.batching.free_memory", lambda _: 800)
    assert Batching(None, n_sharing=n_sharing).limit(torch.device("cpu")) == 400 // n_sharing


@pytest.mark.parametrize("keeps_model", [False, True])
def test_where_workers_answer_the_weights_of_this_process_are_given_back_unless_the_user_holds_the_model(
    smollm2: LoadedModel, keeps_model: bool
) -> None:
    own = LoadedModel(**{**fields(smollm2), "model": copy.deepcopy(smollm2.model)})
    assert own.weights.written() == []
    first: Any = weakref.ref(next(own.model.parameters()))
    plan: Any = SimpleNamespace(loaded=own, profiles={})
    with open_executor(Workers("local", 2), plan, None, Batching(), keeps_model=keeps_model):
        gc.collect()
        assert (first() is not None) == keeps_model
        assert (own.place, own.shape.n_layers) == ("cpu", 30)
        assert own.model.device.type == ("cpu" if keeps_model else "meta")


def fields(loaded: LoadedModel) -> dict[str, Any]:
    return {name: vars(loaded)[name] for name in LoadedModel.__dataclass_fields__}


def test_without_workers_the_model_stays_where_it_is(smollm2: LoadedModel) -> None:
    plan: Any = SimpleNamespace(loaded=smollm2, profiles={})
    with open_executor(Workers("local"), plan, None, Batching(), keeps_model=False):
        assert smollm2.model.device.type == "cpu"
