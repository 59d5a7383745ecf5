"""Shapes of real models, and how many tokens their heads keep."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lukv_bench import bench
from lukv_bench.allocators.base import AllocationRequest
from lukv_bench.scorers.base import Protection

PROTECTION = Protection(4, 32)
SHIPPED_PROFILE = Path(str(bench.__file__)).parent / "shipped_profiles" / "smollm2-135m.keydiff.safetensors"


@dataclass(frozen=True)
class Shape:
    """One layer of a model.

    Attributes:
        name: Of the model.
        n_layers: Layers that are evicted from (of Gemma 3, all are counted).
        n_heads: KV heads.
        n_query_heads: Query heads.
        dim: Head dim.
        measured: The model whose measured budgets of heads serve this one; "" = nobody measured a like one.
    """

    name: str
    n_layers: int
    n_heads: int
    n_query_heads: int
    dim: int
    measured: str = ""

    @property
    def group(self) -> int:
        return self.n_query_heads // self.n_heads


MODELS = {
    shape.name: shape
    for shape in (
        Shape("Llama-3.1-8B", 32, 8, 32, 128, "llama-3.1-8b-instruct"),
        Shape("Qwen2.5-32B", 64, 8, 40, 128, "llama-3.1-8b-instruct"),
        Shape("Qwen3-8B", 36, 8, 32, 128, "qwen3-4b-instruct-2507"),
        Shape("Gemma-3-12B", 48, 8, 16, 256, "gemma-3-12b-it"),
        Shape("SmolLM2-135M", 30, 3, 9, 64),
    )
}


@dataclass(frozen=True)
class HeadCounts:
    """Tokens that each KV head of one layer keeps, int64 [1, H], and whose budgets they are."""

    source: str
    counts: Tensor


def head_counts(shape: Shape, n_tokens: int, evicted: float, folder: Path | None) -> Iterator[HeadCounts]:
    """Uniform counts, and for a real allocator's those of the layer whose heads are the most unequal.

    Args:
        shape: The model.
        n_tokens: T.
        evicted: Share of all tokens that is evicted from the model.
        folder: Measured budgets (TANGRAM's profiles, arXiv 2606.06302); None = without them.
    """
    total = round((1 - evicted) * n_tokens * shape.n_heads * shape.n_layers)
    even = total // (shape.n_heads * shape.n_layers)
    yield HeadCounts("uniform", torch.full((1, shape.n_heads), even))
    if shape.name == "SmolLM2-135M":
        yield _most_unequal("lukv, shipped profile", lukv_counts(shape, n_tokens, total))
    if folder is not None and shape.measured:
        file = folder / f"keydiff__{shape.measured}__profile.npz"
        with np.load(file) as arrays:
            weights = torch.from_numpy(arrays["ratio_per_head"][0].astype(np.float64))
        total = round((1 - evicted) * n_tokens * weights.numel())
        yield _most_unequal(f"keydiff, {shape.measured}", scaled(weights, n_tokens, total))


def lukv_counts(shape: Shape, n_tokens: int, total: int) -> Tensor:
    """int64 [L, H] of LU-KV with the profile that is shipped."""
    from lukv_bench.allocators.lukv import LUKV  # SciPy, which a machine for `make gpu-check` may not have
    from lukv_bench.bench.profiles.file import load_profile

    protected = PROTECTION.mask(n_tokens)
    request = AllocationRequest(
        tuple(range(shape.n_layers)), shape.n_layers, 1, shape.n_heads, n_tokens, total, protected
    )
    return LUKV().allocate(replace(request, profile=load_profile(SHIPPED_PROFILE)))[:, 0]


def scaled(weights: Tensor, n_tokens: int, total: int) -> Tensor:
    """int64 [L, H] in proportion to weights, but at least the protected tokens and at most T; `total` in sum."""
    floor = PROTECTION.sink + PROTECTION.window
    low, high = 0.0, n_tokens * weights.numel() / float(weights.sum()) * n_tokens
    for _ in range(200):
        middle = (low + high) / 2
        if int((floor + weights * middle).clamp_max(n_tokens).long().sum()) <= total:
            low = middle
        else:
            high = middle
    counts = (floor + weights * low).clamp_max(n_tokens).long()
    room = (counts < n_tokens).flatten().nonzero()[:, 0]
    counts.view(-1)[room[: total - int(counts.sum())]] += 1
    return counts


def _most_unequal(source: str, counts: Tensor) -> HeadCounts:
    spread = counts.max(dim=1).values / counts.double().mean(dim=1)
    layer = int(spread.argmax())
    return HeadCounts(f"{source}, layer {layer}", counts[layer].unsqueeze(0))
