"""What a run ran on, as the store remembers it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.record import environment
from lukv_bench.bench.run.rows import environment_row


class On:
    """A loaded model, as far as its device goes."""

    def __init__(self, device: str) -> None:
        self.place, self.devices = device, (torch.device(device),)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two."""
    names = {torch.device("cuda:0"): "Big Card", torch.device("cuda:1"): "Small Card"}
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    monkeypatch.setattr(torch.version, "cuda", "12.9")


def row(device: str) -> Any:
    loaded: Any = On(device)
    return environment_row(loaded)


@pytest.mark.parametrize("kind", ["NVIDIA UNIX x86_64 Kernel Module", "NVIDIA UNIX Open Kernel Module for x86_64"])
@pytest.mark.usefixtures("gpus")
def test_the_driver_of_a_gpu_is_recorded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "version"
    monkeypatch.setattr(environment, "DRIVER", file)
    assert "driver" not in row("cuda:0").details
    file.write_text(f"NVRM version: {kind}  580.95.05  Release Build\nGCC version:  gcc 12.3.0\n")
    assert row("cuda:0").details["driver"] == "580.95.05"
    assert "driver" not in row("cpu").details


@pytest.mark.usefixtures("gpus")
def test_the_gpu_that_a_run_used_is_recorded() -> None:
    big, small, processor = row("cuda:0"), row("cuda:1"), row("cpu")
    assert (big.details["gpu"], big.details["cuda"]) == ("Big Card", "12.9")
    assert small.details["gpu"] == "Small Card"
    assert len({big.id, small.id, processor.id}) == 3
    assert processor.details.keys() == {"processor", "cores", "threads"}


def test_the_packages_that_decide_a_score_are_recorded(smollm2: LoadedModel) -> None:
    packages = environment_row(smollm2).packages
    assert {"torch", "transformers", "lm-eval", "rapidfuzz", "jieba"} <= packages.keys()
    assert packages == environment.package_versions()


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"processor": "AMD EPYC", "cores": 2, "threads": 1}, "AMD EPYC, 2 cores, 1 thread"),
        ({"processor": "Xeon", "cores": 26, "threads": 13, "gpu": "H100", "cuda": "12.8"}, "H100, Xeon, 26 cores"),
    ],
)
def test_a_machine_is_named_by_its_hardware(facts: dict[str, str | int], name: str) -> None:
    assert environment.machine_name(facts) == name
