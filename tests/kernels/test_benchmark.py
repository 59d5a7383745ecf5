"""The kernels' benchmark shows no figure of a wrong result, and its heads keep what the budget says."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import kernel_measures
    import kernel_ops
    import kernel_shapes

    for name in ("kernel_measures", "kernel_ops", "kernel_shapes"):
        monkeypatch.delitem(sys.modules, name)
    return kernel_ops, kernel_measures, kernel_shapes


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ([1.0, 2.0], ""),
        ([1.0, 2.00001], "differs by 1e-05"),
        ([1.0, float("nan")], "differs by nan"),
        ([1.0], r"shape \[1\] instead of \[2\]"),
    ],
)
def test_what_differs_from_plain_torch_is_wrong_and_has_no_bytes(
    modules: tuple[ModuleType, ...], got: list[float], words: str
) -> None:
    ops, measures, _ = modules
    job = ops.Job("op", lambda backend: (torch.tensor([1.0, 2.0] if backend == "torch" else got),), 8, atol=1e-6)
    moved, wrong = measures.counted(job)
    assert (moved is None) == bool(words)
    assert words.replace("\\", "") in wrong


def test_an_op_that_writes_in_place_is_not_compared_with_itself(modules: tuple[ModuleType, ...]) -> None:
    ops, _, _ = modules
    place = torch.zeros(2)

    def run(backend: str) -> tuple[torch.Tensor]:
        if backend == "torch":
            place.fill_(1.0)
        return (place,)

    assert ops.Job("op", run, 8, clear=lambda: place.fill_(float("nan"))).difference("triton-interpret")


@pytest.mark.parametrize("evicted", [0.5, 0.8, 0.95])
def test_heads_keep_what_the_budget_says(modules: tuple[ModuleType, ...], evicted: float, tmp_path: Path) -> None:
    _, _, shapes = modules
    weights = np.random.default_rng(0).random((1, 36, 8)) ** 3
    np.savez(tmp_path / "keydiff__qwen3-4b-instruct-2507__profile.npz", ratio_per_head=weights)
    n_tokens, total = 4096, round((1 - evicted) * 4096 * 36 * 8)
    counts = shapes.scaled(torch.from_numpy(weights[0]), n_tokens, total)
    assert int(counts.sum()) == total
    assert 36 <= int(counts.min()) <= int(counts.max()) <= n_tokens
    found = list(shapes.head_counts(shapes.MODELS["Qwen3-8B"], n_tokens, evicted, tmp_path))
    assert [one.source.split(",")[0] for one in found] == ["uniform", "keydiff"]
    assert int(found[0].counts.sum()) == 8 * int((1 - evicted) * 4096 + 1e-6)
    assert any(torch.equal(found[1].counts[0], layer) for layer in counts)


@pytest.mark.parametrize("evicted", [0.5, 0.8, 0.95])
def test_lukv_s_shipped_profile_spends_the_budget(modules: tuple[ModuleType, ...], evicted: float) -> None:
    _, _, shapes = modules
    total = round((1 - evicted) * 4096 * 90)
    assert int(shapes.lukv_counts(shapes.MODELS["SmolLM2-135M"], 4096, total).sum()) == total
