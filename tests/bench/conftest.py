"""The real default model, loaded once in each test worker."""

from pathlib import Path

import pytest
import torch

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.models.load import LoadedModel


@pytest.fixture(scope="session", autouse=True)
def real_model_first(real_model: Path) -> None:
    """The default model is asked for before any test moves the cache."""


@pytest.fixture(scope="session")
def smollm2(real_model: Path) -> LoadedModel:
    """The default model in float32, switched to store attention."""
    return ready_model("smollm2-135m", torch.device("cpu"), "float32")
