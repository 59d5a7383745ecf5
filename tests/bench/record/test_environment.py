"""What a run ran on, as the store remembers it."""

from typing import Any

import pytest
import torch

from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.record import environment
from lukv_bench.bench.run.rows import environment_row


class On:
    """A loaded model, as far as its device goes."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two."""
    names = {torch.device("cuda:0"): "Big Card", torch.device("cuda:1"): "Small Card"}
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    monkeypatch.setattr(torch.version, "cuda", "12.9")


def row(device: str) -> Any:
    loaded: Any = On(device)
    return environment_row(loaded)


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
