"""How many bytes of keys and values are alive at the peak of a prefill: evicted layer by layer, or at its end?

    python tests/benchmarks/streaming_peak.py [--tokens 4096] [--ratio 0.8] [--model NAME]

One configuration alone, in float32, KeyDiff's scores. Counted is every tensor of keys or values that Python holds,
whoever holds it, made since the model was loaded; each time a layer is scored, and each time a store's tensors are
made, while the layer's own are still there. Queries and what a scorer computes on its way are not counted.

    streaming   uniform, PyramidKV and AdaKV decide each layer as it comes: at most what is kept and one full layer
    deferred    "global" needs all scores: the full cache, and what is kept of the first layer

Exit code 1 if a peak is more than 5% above or below that.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import LayerView, Scorer

STREAMING, DEFERRED = ("uniform", "pyramidkv", "adakv"), ("global",)
WITHIN = 0.05


class Alive:
    """The most bytes of keys and values alive at any look."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.peak = 0
        self._heads = loaded.shape.n_kv_heads, loaded.shape.head_dim
        gc.collect()
        gc.freeze()  # what is there already is neither counted nor walked

    def look(self) -> None:
        """Count."""
        tensors = [one for one in gc.get_objects() if issubclass(type(one), Tensor)]
        storages = {
            one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors if self._is_kv(one)
        }
        self.peak = max(self.peak, sum(storages.values()))

    def _is_kv(self, tensor: Tensor) -> bool:
        """Of one layer [1, H, T, D], or of a store [S, D]."""
        n_heads, dim = self._heads
        is_layer = tensor.dim() == 4 and tensor.shape[1] == n_heads
        return tensor.shape[-1:] == (dim,) and (is_layer or tensor.dim() == 2)


class Stores(TorchDispatchMode):
    """Looks whenever the tensor of a store is made."""

    def __init__(self, alive: Alive, dim: int) -> None:
        super().__init__()
        self.alive, self.dim = alive, dim

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.index_select.default and out.shape[-1:] == (self.dim,):
            self.alive.look()
        return out


class Looking:
    """A scorer that looks before it scores."""

    def __init__(self, scorer: Scorer, alive: Alive) -> None:
        self.reads, self.protection = scorer.reads, scorer.protection
        self._scorer, self._alive = scorer, alive

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T]."""
        self._alive.look()
        return self._scorer.score(layer)


def peak(loaded: LoadedModel, ids: Sequence[int], allocator: str, ratio: str) -> tuple[int, int]:
    """Bytes at the peak, and those of the stores at the end."""
    (method,) = build_methods([allocator], ["keydiff"], [Budget(ratio=parse_ratio(ratio))], None, None, baselines=False)
    alive = Alive(loaded)
    scorer = replace(method.scorer, instance=Looking(method.scorer.instance, alive))
    with Stores(alive, loaded.shape.head_dim):
        evicted = evict_alone(loaded, ids, replace(method, scorer=scorer), 0, len(ids) + 1)
    gc.unfreeze()
    return alive.peak, evicted.cache.allocated_bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--ratio", default="0.8")
    parser.add_argument("--model", default="smollm2-135m")
    given = parser.parse_args()
    loaded = ready_model(given.model, torch.device("cpu"), "float32")
    ids, shape = [1000 + 37 * i % 40000 for i in range(given.tokens)], loaded.shape
    layer = 2 * 4 * shape.n_kv_heads * shape.head_dim * given.tokens
    full, is_right = layer * shape.n_layers, True
    print(
        f"{given.tokens} tokens, {given.ratio} pruned; the full cache has {full / 1e6:.1f} MB, "
        f"one layer of it {layer / 1e6:.1f} MB"
    )
    for allocator in (*STREAMING, *DEFERRED):
        found, kept = peak(loaded, ids, allocator, given.ratio)
        bound = kept + layer if allocator in STREAMING else full + kept / shape.n_layers
        is_right &= abs(found / bound - 1) <= WITHIN
        when = "streaming" if allocator in STREAMING else "deferred"
        print(
            f"{allocator:10} {when:9} peak {found / 1e6:6.1f} MB, {found / full:.2f} x the full cache, "
            f"{found / bound:.3f} of {bound / 1e6:.1f} MB"
        )
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
