"""The real default model: fetched and converted by one test worker, loaded once in each."""

import fcntl
from pathlib import Path

import pytest
import torch

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.models.find import find_model
from lukv_bench.bench.models.load import LoadedModel


@pytest.fixture(scope="session", autouse=True)
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's folder, asked for before any test moves the cache."""
    with (tmp_path_factory.getbasetemp().parent / "default-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers' folders are siblings: the first converts, the others wait
        return find_model("smollm2-135m")


@pytest.fixture(scope="session")
def smollm2(real_model: Path) -> LoadedModel:
    """The default model in float32, switched to store attention."""
    return ready_model("smollm2-135m", torch.device("cpu"), "float32")
