"""A spoilt model folder: exit code 2, one sentence on stderr, nothing on stdout, nothing written."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.models import aliases, load, memory
from lukv_bench.bench.models.load import load_model

Refused = Callable[..., str]
SHORT = ("--tasks", "niah_single_1", "--length", "360")
BASE = ("--allocator", "uniform", "--no-baselines", *SHORT, "--limit", "1", "--db", "out.db")


@pytest.mark.parametrize("keep", [0, 1, 4, 9, 500, -1000, -1])
def test_run_refuses_cut_off_weights(refused: Refused, copy_of: Callable[[str], Path], keep: int) -> None:
    file = copy_of("cut") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    refused(["run", *BASE, "--model", "cut"], "model.safetensors", "corrupt")


def test_run_refuses_weights_that_memory_does_not_hold_before_it_reads_them(
    refused: Refused, copy_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 3 kB\n")
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(load, "model_revision", lambda *_: pytest.fail("the weights were read"))
    copy_of("large")
    words = ("the weights of large take", "in float32", "3.00 KiB are free on cpu", "--dtype bfloat16", "smaller model")
    refused(["run", *BASE, "--model", "large"], *words)


def _drop(name: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.pop(name)


@pytest.mark.parametrize("lost", ["model.layers.1.self_attn.v_proj.weight", "model.embed_tokens.weight"])
def test_run_refuses_weights_with_a_tensor_missing(
    refused: Refused, copy_of: Callable[[str], Path], change_tensors: Any, lost: str
) -> None:
    """transformers would fill it with random numbers and go on."""
    change_tensors(copy_of("lacking"), _drop(lost))
    refused(["run", *BASE, "--model", "lacking"], "lacking")


def _set(**values: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def _put(name: str, text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def _cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text((folder / name).read_text()[:2000])


def _remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


CHANGING = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_set(num_hidden_layers=3), id="more-layers-than-weights"),
        pytest.param(_set(num_hidden_layers=1), id="fewer-layers-than-weights"),
        pytest.param(_set(hidden_size=32), id="another-width"),
        pytest.param(_set(num_hidden_layers="two"), id="layers-in-words"),
        pytest.param(_set(num_key_value_heads=0), id="no-heads"),
        pytest.param(_set(model_type="lama"), id="unknown-architecture"),
        pytest.param(_put("config.json", ""), id="empty-config"),
        pytest.param(_put("config.json", "[]"), id="list-as-config"),
        pytest.param(_put("config.json", b"\xff\xfe\x00"), id="binary-config"),
        pytest.param(_put("tokenizer.json", "[]"), id="list-as-tokenizer"),
        pytest.param(_cut("tokenizer.json"), id="cut-off-tokenizer"),
        pytest.param(_remove("tokenizer.json"), id="no-tokenizer"),
        pytest.param(_put("tokenizer.json", '{"version": "1", "added_tokens": [], "model": {}}'), id="no-vocabulary"),
        pytest.param(_put("tokenizer_config.json", "{"), id="cut-off-tokenizer-config"),
        pytest.param(_put("generation_config.json", "{"), id="cut-off-generation-config"),
        pytest.param(_put("chat_template.jinja", "{% for x in %}"), id="broken-template"),
        pytest.param(_put("chat_template.jinja", "{{ raise_exception('no user turns') }}"), id="refusing-template"),
        pytest.param(_put("chat_template.jinja", CHANGING), id="changing-template"),
        pytest.param(_remove("model.safetensors"), id="no-weights"),
    ],
)  # fmt: skip
def test_run_refuses_a_spoilt_model_folder(
    refused: Refused, copy_of: Callable[[str], Path], spoil: Callable[[Path], object]
) -> None:
    spoil(copy_of("spoilt"))
    refused(["run", *BASE, "--model", "spoilt"], "spoilt")


def test_run_refuses_a_model_folder_with_a_pipe_in_it(refused: Refused, copy_of: Callable[[str], Path]) -> None:
    """Reading it would wait for ever."""
    folder = copy_of("piped")
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    refused(["run", *BASE, "--model", "piped"], "tokenizer.json", "pipe")


def test_run_refuses_weights_that_are_not_numbers(
    refused: Refused, copy_of: Callable[[str], Path], change_tensors: Any
) -> None:
    change_tensors(copy_of("nan"), lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    refused(["run", *BASE, "--model", "nan"], "nan")


@pytest.fixture
def alias(home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model as if it were one that the suite fetches: its content is known."""
    loaded = load_model(str(tiny), torch.device("cpu"), "float32")
    text = "The quick brown fox, 12345!"
    probe = (text, tuple(loaded.tokenizer(text)["input_ids"]))
    known = replace(aliases.SMOLLM2_135M, name="tiny-alias", revision=loaded.revision, probe=probe)
    monkeypatch.setitem(aliases.ALIASES, "tiny-alias", known)
    return Path(shutil.copytree(tiny, home / "cache" / "models" / "tiny-alias"))


def test_an_alias_whose_files_are_whole_runs(alias: Path, lukv_bench: Any) -> None:
    assert lukv_bench("run", *BASE, "--model", "tiny-alias").code == 0


@pytest.mark.parametrize("place", [-1, -100_000, -500_000])
def test_run_refuses_an_alias_with_a_flipped_bit(alias: Path, refused: Refused, place: int) -> None:
    file = alias / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    refused(["run", *BASE, "--model", "tiny-alias"], "tiny-alias", "corrupt", "delete")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_cut("tokenizer.json"), id="cut-off-tokenizer"),
        pytest.param(_put("config.json", ""), id="empty-config"),
        pytest.param(_remove("model.safetensors"), id="no-weights"),
    ],
)
def test_run_refuses_an_alias_with_a_broken_file(
    alias: Path, refused: Refused, spoil: Callable[[Path], object]
) -> None:
    spoil(alias)
    refused(["run", *BASE, "--model", "tiny-alias"], "tiny-alias")


def test_run_refuses_an_alias_whose_position_settings_were_changed(alias: Path, refused: Refused) -> None:
    """The same tensors under another rotary base are another model."""
    config = json.loads((alias / "config.json").read_text())
    config["rope_parameters"] = {"rope_theta": 77.0, "rope_type": "default"}
    (alias / "config.json").write_text(json.dumps(config))
    refused(["run", *BASE, "--model", "tiny-alias"], "tiny-alias")


def test_a_model_that_does_not_fit_says_what_it_takes(
    refused: Refused, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nGPU 0 has 1 MiB free.")

    monkeypatch.setattr(torch.nn.Module, "to", to)
    refused(
        ["run", *BASE, "--model", tiny], "its weights alone take 1.26 MiB in float32", "CUDA out of memory", "--dtype"
    )
