"""The real default model, loaded once."""

import pytest
import torch

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.models.load import LoadedModel


@pytest.fixture(scope="session")
def smollm2() -> LoadedModel:
    """The default model in float32, switched to store attention; the first run ever fetches and converts it."""
    return ready_model("smollm2-135m", torch.device("cpu"), "float32")
