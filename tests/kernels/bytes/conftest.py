"""The counter of bytes, which lies with the measurements that use it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def byte_counter() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "byte_counter.py"
    spec = importlib.util.spec_from_file_location("byte_counter", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["byte_counter"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module
