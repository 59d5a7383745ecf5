"""Weights that do not fit are refused before they are read, and what fits never is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import LlamaConfig

from lukv_bench import UserError
from lukv_bench.bench.models import fitting
from lukv_bench.bench.models.config import empty_model
from lukv_bench.bench.models.devices import Spread, resolve_place
from lukv_bench.bench.models.fitting import device_map, spread, stored_bytes

CPU, GPUS = torch.device("cpu"), (torch.device("cuda:0"), torch.device("cuda:1"))
CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=6, num_attention_heads=4, head_dim=8
)
EMPTY = empty_model("tiny", CONFIG, torch.float32)
NEEDED = sum(weight.numel() * 4 for weight in EMPTY.parameters())
LAYER = sum(weight.numel() * 4 for weight in EMPTY.model.layers[0].parameters())


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """States what is free on the CPU, or on each GPU."""

    def free(*n_bytes: int | None) -> None:
        devices = [CPU] if len(n_bytes) == 1 else GPUS
        stated = dict(zip(devices, n_bytes, strict=True))
        monkeypatch.setattr(fitting, "measured_memory", lambda device, swap=False: stated[device])

    return free


def test_the_least_memory_that_weights_fit_into_is_enough_and_one_byte_less_is_refused(
    free: Callable[..., None],
) -> None:
    twice = 2 * NEEDED  # as the files of a model with tied weights may hold them
    free(NEEDED)
    assert device_map("tiny", CONFIG, twice, torch.float32, CPU) is None
    free(None)
    assert device_map("tiny", CONFIG, twice, torch.float32, CPU) is None, "nothing is known"
    free(NEEDED - 1)
    with pytest.raises(UserError) as refusal:
        device_map("tiny", CONFIG, twice, torch.float32, CPU)
    needed, there = f"{NEEDED / 1024:.2f} KiB", f"{(NEEDED - 1) / 1024:.2f} KiB"
    assert str(refusal.value) == (
        f"the weights of tiny take {needed} in float32, and {there} are free on cpu; use --dtype bfloat16, which takes "
        "half of it, a smaller model or another machine."
    )
    assert device_map("tiny", CONFIG, NEEDED // 2, torch.float32, CPU) is None, "quantized weights take what they take"
    free(1024)
    with pytest.raises(UserError, match=r"in bfloat16, and 1\.00 KiB are free on cpu; use a smaller model or another"):
        device_map("tiny", CONFIG, twice, torch.bfloat16, CPU)


def test_one_of_several_gpus_that_is_too_small_points_to_all_of_them(
    free: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    free(NEEDED // 3, NEEDED)
    with pytest.raises(UserError, match=r"free on cuda:0; use .*, --device auto, which spreads it over all GPUs, a"):
        device_map("tiny", CONFIG, NEEDED, torch.float32, GPUS[0])


def test_gpus_that_are_too_small_together_are_named_with_what_is_free(free: Callable[..., None]) -> None:
    free(NEEDED // 4, NEEDED // 2)
    with pytest.raises(UserError) as refusal:
        device_map("tiny", CONFIG, NEEDED, torch.float32, Spread(GPUS))
    there = f"{NEEDED / 4096:.2f} KiB on cuda:0, {NEEDED / 2048:.2f} KiB on cuda:1 are free, of which weights may"
    assert f"take {NEEDED / 1024:.2f} KiB in float32, and {there} take 90%; use --dtype" in str(refusal.value)
    free(NEEDED, NEEDED)
    modules = device_map("tiny", CONFIG, NEEDED, torch.float32, Spread(GPUS))
    assert modules is not None
    assert set(modules.values()) == {0, 1}, "both have some of it"
    free(NEEDED // 4, NEEDED // 4)
    assert device_map("tiny", CONFIG, NEEDED // 4, torch.float32, Spread(GPUS)) is not None, "quantized weights fit"


def of_module(modules: dict[str, int], name: str) -> str:
    """The entry that a module or a tensor falls under; "" is the whole model."""
    return max((entry for entry in modules if f"{name}.".startswith(f"{entry}.") or not entry), key=len)


def on_gpus(modules: dict[str, int]) -> dict[int, int]:
    """Bytes of weights on each GPU, counted tensor by tensor."""
    used: dict[int, int] = {}
    for name, weight in EMPTY.named_parameters():
        gpu = modules[of_module(modules, name)]
        used[gpu] = used.get(gpu, 0) + weight.numel() * 4
    return used


@settings(max_examples=60)
@given(st.lists(st.integers(0, int(1.2 * NEEDED)), min_size=2, max_size=4))
def test_no_gpu_gets_more_than_it_may_hold_and_whole_layers_stay_together(limits: list[int]) -> None:
    modules = spread(EMPTY, dict(enumerate(limits)))
    if modules is None:
        wasted = (len(limits) - 1) * LAYER  # at most a layer does not fill up a GPU
        assert sum(limits) - wasted < NEEDED or max(limits) < LAYER
        return
    assert all(used <= limits[gpu] for gpu, used in on_gpus(modules).items())
    assert not any(".layers." in module and module.count(".") > 2 for module in modules)
    layers = [modules[of_module(modules, f"model.layers.{index}")] for index in range(6)]
    assert layers == sorted(layers)


def test_the_bytes_of_files_are_those_of_their_tensors_once_loaded(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.float16), "c": torch.zeros(11, dtype=torch.int8)}
    save_file(tensors, file := tmp_path / "model.safetensors")
    assert stored_bytes([file], torch.bfloat16) == 2 * (15 + 7) + 11
    assert stored_bytes([file, file], torch.float32) == 2 * (4 * (15 + 7) + 11)


@pytest.mark.parametrize(("n_gpus", "devices"), [(0, None), (1, None), (3, 3)])
def test_auto_is_the_default_device_where_there_are_not_several_gpus(
    monkeypatch: pytest.MonkeyPatch, n_gpus: int, devices: int | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    place: Any = resolve_place("auto")
    if devices is None:
        assert place == resolve_place(None) == torch.device("cuda" if n_gpus else "cpu")
    else:
        assert place == Spread(tuple(torch.device("cuda", index) for index in range(devices)))
        assert place.type == "cuda"
