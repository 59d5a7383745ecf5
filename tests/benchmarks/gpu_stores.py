"""A ragged store through all that a store does, against the same store in plain torch."""

from collections.abc import Iterator
from typing import Any

import torch
from gpu_part import Place, poisoned
from kernel_ops import HALF_ERROR, Job, Results
from torch import Tensor

from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_store import compact
from lukv_bench.kernels.select import Kept, select

STEPS = (("append", [3, 2]), ("take back", [1, 1]), ("keep", [5, 0]), ("go on", [1, 1]), ("drop a row", [2]))
"""What is done to the store, and the tokens that each row then appends."""


def store_jobs(place: Place, dtype: torch.dtype, dim: int, group: int, name: str) -> Iterator[Job]:
    """One job: what every step attends to, and what is held at the end."""
    n_tokens = 40 if place.is_small else 2000
    random = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(dtype).to(place.device)

    keys, values = normal(1, 2, n_tokens, dim), normal(1, 2, n_tokens, dim)
    counts = torch.tensor([[1, n_tokens], [n_tokens // 2, 0]])
    kept = select(torch.rand(2, 2, n_tokens, generator=random), counts, torch.zeros(n_tokens, dtype=torch.bool))
    chunks = [
        (
            normal(len(new), max(new), 2 * group, dim).transpose(1, 2),
            *(normal(len(new), 2, max(new), dim) for _ in "kv"),
        )
        for _, new in STEPS
    ]

    def run(backend: Backend) -> Results:
        with poisoned():
            return _walked(compact(keys, values, kept, 4, backend=backend), chunks, dim**-0.5)

    error = HALF_ERROR[dtype]
    yield Job(f"store {name}", run, 0, error, error)


def _walked(store: Any, chunks: list[tuple[Tensor, ...]], scale: float) -> Results:
    outs = list[Tensor]()
    for (step, new), (query, keys, values) in zip(STEPS, chunks, strict=True):
        if step == "take back":
            store.take_back(torch.tensor([1, 2]))
        elif step == "keep":
            held = store.positions().mask
            store.keep(Kept.of_mask(held & (torch.arange(held.shape[-1], device=held.device) % 3 > 0)), room=2)
        elif step == "drop a row":
            store.keep_rows(torch.tensor([1]))
        n_new = torch.tensor(new)
        store.append(keys, values, n_new)
        out = store.attend(query, n_new, Form(scale, window=30))
        real = torch.arange(max(new)) < n_new.unsqueeze(-1)
        outs.append(out[real.to(out.device)])
    return (*outs, store.positions().mask)
