"""The backend that a process gets, in processes of every kind."""

import os
import subprocess
import sys

import pytest
import torch

from lukv_bench.kernels.backend import NAMES, BackendError, interprets, resolve

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ASK = """
import os, torch, triton
os.environ["TRITON_INTERPRET"] = "1"
from lukv_bench.kernels.backend import NAMES, BackendError, resolve
for device in ("cpu", "cuda"):
    for name in NAMES:
        try:
            print(device, name, resolve(name, torch.device(device)), sep=":")
        except BackendError as error:
            print(device, name, error, sep=":")
"""
"""The environment changes after Triton was imported, which is too late."""


def test_a_process_that_compiles() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd="/")
    answers = {(device, name): said for device, name, said in (line.split(":", 2) for line in done.stdout.splitlines())}
    assert [answers["cpu", name] for name in ("auto", "torch")] == ["torch", "torch"]
    assert [answers["cuda", name] for name in ("auto", "torch", "triton")] == ["triton", "torch", "triton"]
    assert answers["cpu", "triton"] == (
        "the backend triton needs a GPU, and the tensors are on cpu; use torch or auto."
    )
    for device in ("cpu", "cuda"):
        assert "TRITON_INTERPRET=1 in the environment before" in answers[device, "triton-interpret"]


def test_a_process_that_interprets_does_so_only_where_it_is_asked_to() -> None:
    assert interprets()
    for device in (CPU, GPU):
        assert [resolve(name, device) for name in ("auto", "torch")] == ["torch", "torch"]
        assert resolve("triton-interpret", device) == "triton-interpret"
    with pytest.raises(BackendError, match="unset it before the program starts"):
        resolve("triton", GPU)


def test_a_process_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    for device in (CPU, GPU):
        assert [resolve(name, device) for name in ("auto", "torch")] == ["torch", "torch"]
        for name in ("triton", "triton-interpret"):
            with pytest.raises(BackendError, match=rf"^the backend {name} needs Triton: pip install triton, or use"):
                resolve(name, device)


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BackendError, match=rf"^there is no backend 'cuda'; use one of {', '.join(NAMES)}\.$"):
        resolve("cuda", GPU)
