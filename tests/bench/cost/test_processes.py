"""The lock of a device among processes, and a measurement's own process that may die in any way."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench import UserError
from lukv_bench.bench.cost import device as device_module
from lukv_bench.bench.cost.device import Device, alone_on, device_of
from lukv_bench.bench.cost.energy import energy_counter
from lukv_bench.bench.cost.isolation import measure_in_process
from lukv_bench.bench.cost.request import Failed

HOLDER = """
import sys
from lukv_bench.bench.cost.device import Device, alone_on
with alone_on(Device("cpu", sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Device("cpu", "d" * 64)


def test_a_measurement_waits_for_the_one_that_has_the_device(card: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, card.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said: list[str] = []

    def wait(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 2:
            holder.kill()  # also one that dies gives the device up
            holder.wait()

    monkeypatch.setattr(device_module, "EVERY_S", 0.01)
    with alone_on(card, wait):
        assert said == [f"waiting for cpu: process {holder.pid} measures on it"] * 2
    with alone_on(card, said.append):
        assert len(said) == 2


def test_a_lock_that_cannot_be_made_is_a_sentence(card: Device, tmp_path: Path) -> None:
    card.lock.mkdir()
    with pytest.raises(UserError, match="set TMPDIR to a folder"), alone_on(card, print):
        pass


def test_a_card_is_itself_whatever_a_process_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {0: "aaaa", 1: "bbbb"}
    found = type("Properties", (), {})

    def properties(index: int) -> Any:
        made = found()
        made.uuid = cards[index]
        return made

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    first, second = device_of(torch.device("cuda:0")), device_of(torch.device("cuda:1"))
    assert first.id != second.id
    cards[0] = "bbbb"  # CUDA_VISIBLE_DEVICES=1
    assert device_of(torch.device("cuda:0")).id == second.id
    assert device_of(torch.device("cpu")).id == device_of(torch.device("cpu")).id


@pytest.mark.parametrize(
    ("program", "manner"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("import sys; sys.exit(3)", "ended with code 3"),
        ("import os; os.write(1, b'no pickle'); os._exit(5)", "ended with code 5"),
    ],
)
def test_a_process_that_dies_is_the_failure_of_its_cell(program: str, manner: str) -> None:
    result = measure_in_process(None, print, ("-c", program))  # type: ignore[arg-type]
    assert isinstance(result, Failed)
    assert manner in result.error


def test_what_a_process_says_arrives_and_it_ends_with_the_answer() -> None:
    program = """
import pickle, sys, time
from lukv_bench.bench.cost.request import Failed, Step
out = sys.stdout.buffer
request = pickle.load(sys.stdin.buffer)
for message in (Step("one"), Step(request), Failed("enough")):
    pickle.dump(message, out)
    out.flush()
time.sleep(600)
"""
    steps: list[str] = []
    result = measure_in_process("two", steps.append, ("-c", program))  # type: ignore[arg-type]
    assert (steps, result) == (["one", "two"], Failed("enough"))


def test_energy_is_read_where_nvml_is_there_and_is_never_required(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nvml:
        NVMLError = OSError
        millijoules = 5000

        def nvmlInit(self) -> None: ...
        def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
            return uuid

        def nvmlDeviceGetTotalEnergyConsumption(self, card: str) -> int:
            if card != "GPU-abc":
                raise OSError
            return self.millijoules

    nvml, card = Nvml(), type("Properties", (), {"uuid": "abc"})()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    cuda = torch.device("cuda:0")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_counter(cuda) is None
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert energy_counter(torch.device("cpu")) is None
    joules = energy_counter(cuda)
    assert joules is not None
    assert joules() == 5.0
    card.uuid = "older card"
    assert energy_counter(cuda) is None
