"""`make gpu-check`, without a GPU: what it says, what it finds wrong, and what it needs."""

import json
import os
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "tests" / "benchmarks"
NAMES = ("gpu_check", "gpu_parts", "gpu_worker", "gpu_report", "gpu_part", "gpu_kernels", "gpu_attention", "gpu_stores")
IMAGE = ("torch", "triton", "transformers")
"""What the image of a machine with a GPU has, with what each of them requires."""
COMMAND_LINE = "typer"
"""Required by the latest transformers for its own commands; older ones do without, and without pydantic behind it."""


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield {name: __import__(name) for name in NAMES}
    for name in set(sys.modules) - before:
        if Path(str(getattr(sys.modules[name], "__file__", None))).parent == BENCHMARKS:
            del sys.modules[name]


def carried_out(scripts: dict[str, ModuleType], names: tuple[str, ...]) -> Any:
    """What comes of some checks of the kernels, interpreted."""
    request = scripts["gpu_worker"].Request("kernels", "cpu", "triton-interpret", True, names=names)
    return result_of(scripts, request, lambda send: scripts["gpu_worker"].carry_out(request, send))


def result_of(scripts: dict[str, ModuleType], request: Any, run: Callable[..., object]) -> Any:
    parts = scripts["gpu_parts"]
    result = parts.PartResult(request.part, 60)
    share = parts.Share(request, time.monotonic() + 60, result, threading.Lock(), lambda line: None)
    run(lambda **message: share.take(json.loads(json.dumps(message))))
    return result


def ended_with(scripts: dict[str, ModuleType], result: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the command where this comes of its part."""
    monkeypatch.setattr(scripts["gpu_check"], "run_part", lambda *_: result)
    return int(scripts["gpu_check"].main(["--rehearse", "--parts", result.name, "--out", str(folder)]))


def test_without_a_gpu_it_says_so_in_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py"), "--out", "reports"]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(command, cwd=tmp_path, env=hidden, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "No GPU that torch can use is here: nothing was checked and nothing is claimed.\n"
    assert not [*tmp_path.iterdir()]


def test_right_kernels_pass_and_a_wrong_one_fails_the_report(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.kernels.compact import triton as compact
    from lukv_bench.kernels.keydiff import triton as keydiff
    from lukv_bench.kernels.select import triton as select

    checks = ("select ties", "keydiff fp32 D64", "compact fp32 D64", "ragged_attention decode, fp32 D64")
    right = carried_out(scripts, checks)
    assert right.wrong == dict.fromkeys(checks, "")
    assert ended_with(scripts, right, tmp_path / "right", monkeypatch) == 0
    assert "**Everything is right.**" in (tmp_path / "right" / "gpu_check_rehearsal.md").read_text()

    own_keydiff, own_compact, own_select = keydiff.keydiff, compact.compact, select.select_layers

    def unwritten(keys: Any, values: Any, kept: Any, segments: Any, *rest: Any) -> Any:
        flat = own_compact(keys, values, kept, segments, *rest)
        flat[1][int(segments.slots()[7])] = float("nan")
        return flat

    def swapped(*args: Any) -> Any:
        layers = own_select(*args)
        layers[0].positions[:2] = layers[0].positions[:2].flip(0)
        return layers

    monkeypatch.setattr(keydiff, "keydiff", lambda keys: own_keydiff(keys) + 1e-5)
    monkeypatch.setattr(compact, "compact", unwritten)
    monkeypatch.setattr(select, "select_layers", swapped)
    wrong = carried_out(scripts, checks)
    assert [name for name in checks if wrong.wrong[name]] == [*checks[:3]]
    assert ended_with(scripts, wrong, tmp_path / "wrong", monkeypatch) == 1
    text = (tmp_path / "wrong" / "gpu_check_rehearsal.md").read_text()
    assert "1 of 4 checks are right, 3 wrong" in text
    assert "**WRONG** keydiff fp32 D64: differs by 1e-05 where 4e-06 + 0 x is allowed" in text
    assert "**WRONG** compact fp32 D64: differs by nan" in text
    report = json.loads((tmp_path / "wrong" / "gpu_check_rehearsal.json").read_text())
    assert (report["is_right"], report["parts"][0]["wrong"][checks[3]]) == (False, "")
    assert report["environment"]["torch"] == torch.__version__


WORKER = """
import json, os, sys, time
names = json.load(sys.stdin)["names"] or ["a", "b", "c", "d"]
print(json.dumps({"todo": names}), flush=True)
for name in names:
    print(json.dumps({"begun": name}), flush=True)
    if name == "b":
        print("the card is gone", file=sys.stderr, flush=True)
        os._exit(7)
    if name == "d":
        time.sleep(60)
    print(json.dumps({"done": name, "wrong": "", "data": {}}), flush=True)
"""


def test_a_check_that_crashes_or_hangs_is_reported_and_the_others_still_run(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(scripts["gpu_parts"], "WORKER", worker)
    request = scripts["gpu_worker"].Request("cells", "cpu", "torch", True)
    result = scripts["gpu_parts"].run_part(request, 6, lambda line: None)
    assert result.took_s < 10
    assert result.wrong == {"a": "", "b": "its process ended with code 7 (the card is gone) while it did: b", "c": ""}
    assert result.not_reached == ["d"]
    assert ended_with(scripts, result, tmp_path, monkeypatch) == 1
    text = (tmp_path / "gpu_check_rehearsal.md").read_text()
    assert "**not reached**: d" in text
    assert "2 of 4 checks are right, 1 wrong" in text


def test_a_part_that_cannot_begin_is_reported(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = scripts["gpu_worker"].Request("kernels", "cpu", "triton", True)
    result = result_of(scripts, request, lambda send: scripts["gpu_worker"].carry_out(request, send))
    assert "the backend triton needs a GPU" in result.broken
    assert ended_with(scripts, result, tmp_path, monkeypatch) == 1


def test_an_older_transformers_breaks_the_cells_alone_with_a_sentence(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts["gpu_worker"], "version", lambda name: "5.8.1")
    request = scripts["gpu_worker"].Request("cells", "cpu", "torch", True)
    result = result_of(scripts, request, lambda send: scripts["gpu_worker"].carry_out(request, send))
    assert "the cells need transformers 5.23 or newer, and 5.8.1 is here" in result.broken


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """Distributions and all that they require here."""
    found, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name in found or name == COMMAND_LINE:
            continue
        found.add(name)
        requirements = map(Requirement, metadata.requires(name) or ())
        todo += [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python in an environment that has torch, Triton and transformers, and nothing that they do not require."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder, symlinks=True, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in with_requirements(IMAGE):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    (folder / "source").mkdir()
    (folder / "source" / "lukv_bench").symlink_to(ROOT)
    return folder


IN_THE_IMAGE = """
import json, sys
import gpu_check, gpu_kernels, gpu_timings, gpu_worker
from importlib.util import find_spec
if "transformers" in sys.modules:
    sys.exit("the parts of the kernels import transformers")
if there := [name for name in ("pydantic", "lm_eval", "scipy", "platformdirs", "sqlalchemy") if find_spec(name)]:
    sys.exit(f"this is no image of torch, Triton and transformers alone: {there}")
messages = []
request = gpu_worker.Request("cells", "cpu", "torch", True, names=("full cache", "very unequal x keydiff @ 0.8"))
gpu_worker.carry_out(request, lambda **message: messages.append(message))
print("\\n" + json.dumps(messages))
"""


def test_it_needs_nothing_but_torch_triton_and_transformers(scripts: dict[str, ModuleType], image: Path) -> None:
    paths = os.pathsep.join([str(image / "source"), str(BENCHMARKS)])
    ended = subprocess.run(
        [str(image / "bin" / "python"), "-P", "-c", IN_THE_IMAGE],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    messages = json.loads(ended.stdout.splitlines()[-1])
    request = scripts["gpu_worker"].Request("cells", "cpu", "torch", True)
    result = result_of(scripts, request, lambda send: [send(**message) for message in messages])
    assert result.broken == ""
    assert result.wrong == {"full cache": "", "very unequal x keydiff @ 0.8": ""}
    report = scripts["gpu_report"].document({"title": "none"}, "make gpu-check", [result])
    lines = [line for line in scripts["gpu_report"].markdown(report).splitlines() if line.startswith("|")]
    header, _, full, unequal = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert header[:7] == [
        "cell",
        *(f"{step}_s" for step in ("prefill", "score", "allocate", "select", "compact", "first_token")),
    ]
    assert len(full) == len(unequal) == len(header)
    assert (full[0], unequal[0]) == ("full cache", "very unequal x keydiff @ 0.8")
    sizes = [result.data[name]["sizes"] for name in result.wrong]
    assert sizes[0]["kv_bytes_kept"] == sizes[0]["kv_bytes_full"] == 2 * 2 * 240 * 2 * 16 * 4
    assert sizes[1]["kv_bytes_kept"] == 2 * 2 * 48 * 2 * 16 * 4
