"""A ragged store whose tables lie on a device, its kernels interpreted: the same as with torch, in a fixed number of
operations, and nothing on the device is read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lukv_bench.kernels.append import triton as append_form
from lukv_bench.kernels.backend import Backend
from lukv_bench.kernels.form import Form
from lukv_bench.kernels.ragged_attention import triton as attention_form
from lukv_bench.kernels.ragged_store import RaggedStore, compact
from lukv_bench.kernels.select import Kept, select

BACKENDS: tuple[Backend, ...] = ("torch", "triton-interpret")
GROUP, DIM, N_TOKENS = 2, 64, 40
READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal")


def kept_at_random(n_batch: int, n_heads: int) -> Kept:
    random, shape = torch.Generator().manual_seed(n_batch), (n_batch, n_heads, N_TOKENS)
    counts = torch.randint(N_TOKENS + 1, shape[:2], generator=random)
    return select(torch.rand(shape, generator=random), counts, torch.zeros(N_TOKENS, dtype=torch.bool))


def stores(n_batch: int, n_heads: int, room: int) -> list[RaggedStore]:
    """The same by torch and by interpreted kernels."""
    keys, values = torch.randn(2, 1, n_heads, N_TOKENS, DIM, generator=torch.Generator().manual_seed(1))
    kept = kept_at_random(n_batch, n_heads)
    return [compact(keys, values, kept, room, backend=backend) for backend in BACKENDS]


def chunk(n_batch: int, n_heads: int, n_new: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    query = torch.randn(n_batch, n_new, n_heads * GROUP, DIM, generator=random).transpose(1, 2)
    keys, values = torch.randn(2, n_batch, n_heads, n_new, DIM, generator=random)
    return query, keys, values


def assert_mirrored(store: RaggedStore) -> None:
    mirror, segments = store.kv.mirror, store.kv.segments
    assert mirror is not None
    for name in ("starts", "lengths", "capacities"):
        assert torch.equal(getattr(mirror.segments, name), getattr(segments, name)), name


def keep_some(store: RaggedStore) -> None:
    held = store.positions().mask
    store.keep(Kept.of_mask(held & (torch.arange(held.shape[-1]) % 3 > 0)))


def test_it_answers_as_the_torch_store_through_all_that_a_store_does() -> None:
    both, form = stores(2, 2, room=4), Form(0.2, window=30)
    changes: list[Callable[[RaggedStore], None]] = [
        lambda store: None,
        lambda store: store.take_back(torch.tensor([1, 2])),
        keep_some,
        lambda store: store.keep_rows(torch.tensor([1])),
    ]
    for step, (change, new) in enumerate(zip(changes, ([3, 2], [1, 1], [5, 0], [2]), strict=True)):
        for store in both:
            change(store)
        n_new = torch.tensor(new)
        query, keys, values = chunk(len(new), 2, max(new), step)
        outs = []
        for store in both:
            store.append(keys, values, n_new)
            outs.append(store.attend(query, n_new, form))
        real = torch.arange(max(new)) < n_new.unsqueeze(-1)
        torch.testing.assert_close(outs[1][real], outs[0][real], atol=2e-6, rtol=2e-6)
        assert torch.equal(both[1].positions().mask, both[0].positions().mask)
        assert_mirrored(both[1])


class Step(TorchDispatchMode):
    """Counts operations, and those that read a tensor of the device, or one that was computed from it."""

    def __init__(self, on_device: list[Tensor]) -> None:
        super().__init__()
        self.n_operations = self.n_launches = 0
        self.reads: list[str] = []
        self.on_device = {self.place(tensor) for tensor in on_device}
        self.alive = list(on_device)  # a freed tensor's place could be given to another

    @staticmethod
    def place(tensor: Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    def holds(self, values: Any) -> bool:
        return any(isinstance(leaf, Tensor) and self.place(leaf) in self.on_device for leaf in tree_leaves(values))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n_operations += 1
        out = func(*args, **(kwargs or {}))
        if self.holds(args):
            if func.overloadpacket.__name__ in READS:
                self.reads.append(str(func))
            new = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
            self.on_device |= {self.place(tensor) for tensor in new}
            self.alive += new
        return out


@contextmanager
def launches_counted(step: Step, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels are counted and not run; a tensor of the device that is asked for its numbers is recorded."""

    class Counted:
        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            step.n_launches += 1
            return lambda *args, **kwargs: None

    def recorded(name: str) -> Callable[..., Any]:
        method = getattr(Tensor, name)

        def read(tensor: Tensor, *args: Any) -> Any:
            if step.holds(tensor):
                step.reads.append(name)
            return method(tensor, *args)

        return read

    with monkeypatch.context() as patch:
        patch.setattr(append_form, "append_kernel", Counted())
        for name in ("attend_kernel", "merge_kernel"):
            patch.setattr(attention_form, name, Counted())
        for name in ("tolist", "cpu", "numpy"):
            patch.setattr(Tensor, name, recorded(name))
        yield


def decoded(store: RaggedStore, n_heads: int, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step of one token for every row."""
    n_batch = len(store.kv.segments.starts)
    query, keys, values = chunk(n_batch, n_heads, 1)
    mirror, plan, new = store.kv.mirror, store.schedule.plan, torch.ones(n_batch, dtype=torch.int64)
    assert mirror is not None
    assert plan is not None
    tables = [mirror.segments.starts, mirror.segments.lengths, mirror.new_lengths, plan.items]
    step = Step([query, keys, values, store.kv.keys, store.kv.values, *tables])
    with launches_counted(step, monkeypatch), step:
        store.append(keys, values, new)
        store.attend(query, new, Form(0.2))
    return step


def test_a_step_is_a_fixed_number_of_operations_and_reads_nothing_on_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {}
    for n_batch, n_heads in ((1, 1), (1, 8), (16, 1), (16, 8)):
        _, store = stores(n_batch, n_heads, room=8)
        mirror = store.kv.mirror
        assert mirror is not None
        store.schedule.current(store.kv.segments.lengths, GROUP, store.kv.keys)
        mirror.chunk_of(torch.ones(n_batch, dtype=torch.int64))
        steps = [decoded(store, n_heads, monkeypatch) for _ in range(2)]
        assert [step.reads for step in steps] == [[], []]
        counts[n_batch, n_heads] = [(step.n_operations, step.n_launches) for step in steps]
    assert len({str(count) for count in counts.values()}) == 1, counts
    assert counts[1, 1][0][1] == 3


def test_the_count_sees_a_read() -> None:
    table = torch.arange(3)
    with Step([table]) as step:
        int((table * 2).sum())
    assert step.reads == ["aten._local_scalar_dense.default"]
