"""Tokens a second that one row decodes on a CPU, over caches of the same context.

    python tests/benchmarks/decode_speed.py [--tokens 4096 8192] [--ratio 0.8] [--steps 32] [--repeat 5]

The default model, float32, one thread, CPU seconds, which other programs change least. Keys and values are random:
seconds do not depend on them. The caches take turns within a repeat; the median of all steps is compared:

    ragged          ours: what LU-KV's shipped profile keeps with KeyDiff, in ragged stores
    uniform         as many slots, the same in every head, in transformers' DynamicCache with its SDPA attention
    masked          the full cache in a DynamicCache; before each attention the evicted keys are overwritten with one
                    that gets no weight, which is how kvpress evicts different tokens in each head
    full            the full DynamicCache
    no attention    the model without any attention: what no cache can beat

Exit code 1 if ragged is below 2 x masked or below 0.9 x uniform at the first length.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from statistics import median
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import DynamicCache

from lukv_bench.bench.engine.attention import NAME
from lukv_bench.bench.engine.cache import StoreCache
from lukv_bench.bench.engine.feed import feed
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.rotary import rotating_for
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.policy import Policy
from lukv_bench.bench.methods.profiles import MethodProfiles
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.ragged_store import compact
from lukv_bench.kernels.select import Kept

Step = Callable[[], None]


def kept_by_lukv(loaded: LoadedModel, n_tokens: int, ratio: str) -> list[Kept]:
    """What the shipped profile of KeyDiff keeps of random scores."""
    (method,) = build_methods(["lukv"], ["keydiff"], [Budget(ratio=Decimal(ratio))], None, None, baselines=False)
    method = method.with_profiles(MethodProfiles(loaded, lambda *_: None).obtain(method))
    shape = loaded.shape
    scores = torch.rand(shape.n_layers, 1, shape.n_kv_heads, n_tokens, generator=torch.Generator().manual_seed(0))
    return Policy(loaded, method, n_tokens, seed=0).decide_all(scores)


def random_kv(loaded: LoadedModel, n_tokens: int) -> tuple[Tensor, Tensor]:
    """Keys and values [1, H, T, D] of one layer."""
    shape = 1, loaded.shape.n_kv_heads, n_tokens, loaded.shape.head_dim
    return torch.randn(shape), torch.randn(shape)


def ragged(loaded: LoadedModel, n_tokens: int, kept: list[Kept], room: int) -> Step:
    """A step over our stores."""
    stores = [compact(*random_kv(loaded, n_tokens), layer, room) for layer in kept]
    cache = StoreCache(stores, 1, n_tokens, n_tokens + room)

    def step() -> None:
        feed(loaded, cache, [[1009]], [1])

    return step


def dynamic(loaded: LoadedModel, n_tokens: int, n_held: int) -> Step:
    """A step over transformers' cache, which holds `n_held` tokens of a context of `n_tokens`."""
    cache = DynamicCache()
    for layer in range(loaded.shape.n_layers):
        cache.update(*random_kv(loaded, n_held), layer)
    position = torch.tensor([[n_tokens]])

    def step() -> None:
        loaded.model(input_ids=torch.tensor([[1009]]), position_ids=position, past_key_values=cache, use_cache=True)

    return step


def masking(kept: list[Kept]) -> Callable[..., tuple[Tensor, None]]:
    """SDPA that first overwrites the evicted keys of each head with one along the negative mean query."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    evicted = [(~layer.mask).nonzero(as_tuple=True) for layer in kept]

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
        rows, heads, positions = evicted[module.layer_idx]
        mean = query.view(1, key.shape[1], -1, query.shape[-1]).mean(dim=2)
        key[rows, heads, positions] = (-1e5 * mean / mean.norm(dim=-1, keepdim=True) ** 2)[rows, heads]
        return sdpa_attention_forward(module, query, key, value, mask, **options)

    return attend


def nothing(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> tuple[Tensor, None]:
    """Zeros in the place of attention."""
    return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], query.shape[3]), None


@contextmanager
def attention(loaded: LoadedModel, name: str) -> Iterator[None]:
    """The model with another attention function."""
    model: Any = loaded.model
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)


@torch.inference_mode()
def measure(loaded: LoadedModel, n_tokens: int, ratio: str, steps: int, repeat: int) -> dict[str, float]:
    """Median CPU seconds of a step by cache."""
    kept = kept_by_lukv(loaded, n_tokens, ratio)
    n_slots = sum(int(layer.counts.sum()) for layer in kept)
    n_uniform = round(n_slots / (loaded.shape.n_layers * loaded.shape.n_kv_heads))
    AttentionInterface.register("masking", masking(kept))
    AttentionInterface.register("nothing", nothing)
    variants: dict[str, tuple[str, Callable[[], Step]]] = {
        "ragged": (NAME, lambda: ragged(loaded, n_tokens, kept, steps + 1)),
        "uniform": ("sdpa", lambda: dynamic(loaded, n_tokens, n_uniform)),
        "masked": ("masking", lambda: dynamic(loaded, n_tokens, n_tokens)),
        "full": ("sdpa", lambda: dynamic(loaded, n_tokens, n_tokens)),
        "no attention": ("nothing", lambda: dynamic(loaded, n_tokens, 1)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(repeat):
        for name, (function, make) in variants.items():
            step = make()
            with attention(loaded, function), rotating_for(loaded.model, n_tokens, n_tokens + steps + 1):
                step()
                for _ in range(steps):
                    began = time.process_time()
                    step()
                    seconds[name].append(time.process_time() - began)
        print(f"{n_tokens} tokens: repeat {number + 1}/{repeat}", file=sys.stderr, flush=True)
    return {name: median(values) for name, values in seconds.items()}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192])
    options.add_argument("--ratio", default="0.8")
    options.add_argument("--steps", type=int, default=32)
    options.add_argument("--repeat", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    loaded = ready_model("smollm2-135m", torch.device("cpu"), "float32")
    short = []
    for n_tokens in given.tokens:
        seconds = measure(loaded, n_tokens, given.ratio, given.steps, given.repeat)
        ours = seconds["ragged"]
        for name, one in seconds.items():
            print(f"{n_tokens} tokens, {name:12}: {1 / one:6.2f} tokens/s, ragged is {one / ours:.2f} x as fast")
        short.append(seconds["masked"] < 2 * ours or seconds["uniform"] < 0.9 * ours)
    return int(short[0])


if __name__ == "__main__":
    sys.exit(main())
