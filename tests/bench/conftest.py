"""The real default model, loaded once in each test worker, and the benchmarks as modules."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def script() -> Callable[[str], Any]:
    """A benchmark by its name, as a module that others of them import."""

    def load(name: str) -> Any:
        path = Path(__file__).resolve().parents[1] / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load
