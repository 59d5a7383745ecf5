"""Counts the bytes that a Triton kernel's own loads and stores move, while Triton's interpreter executes it.

Every load, store and atomic counts the elements that its mask lets through, an element for each time it is moved: what
a cache would spare is not taken off. An address outside the kernel's arguments is an error.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor
from triton.runtime import interpreter


@dataclass
class BytesMoved:
    """Bytes by "kernel.argument".

    Attributes:
        read: Loaded; an atomic loads and stores.
        written: Stored.
    """

    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.read.total() + self.written.total()


@dataclass(frozen=True)
class Extent:
    """The addresses of a tensor, from the first byte to the one after the last."""

    name: str
    begin: int
    end: int

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> "Extent":
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        end = (last + 1) * tensor.itemsize if tensor.numel() else 0
        return cls(name, tensor.data_ptr(), tensor.data_ptr() + end)


class Watch:
    """Attributes addresses to the arguments of the kernel that runs."""

    def __init__(self) -> None:
        self.moved = BytesMoved()
        self.extents: list[Extent] = []

    def launch(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """A launch that says which tensors it has."""

        def watched(executor: Any, *args: Any, **kwargs: Any) -> Any:
            known = {key: value for key, value in kwargs.items() if key in executor.arg_names}
            given = inspect.signature(executor.fn).bind(*args, **known).arguments
            tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
            self.extents = [Extent.of(f"{executor.fn.__name__}.{name}", value) for name, value in tensors.items()]
            return run(executor, *args, **kwargs)

        return watched

    def note(self, counts: Counter[str], pointers: Any, mask: Any) -> None:
        """Count the addresses that a mask lets through."""
        n_bytes = max(pointers.get_element_ty().primitive_bitwidth // 8, 1)
        addresses = np.broadcast_to(pointers.data, np.broadcast_shapes(pointers.data.shape, mask.shape))[
            np.broadcast_to(mask, np.broadcast_shapes(pointers.data.shape, mask.shape))
        ]
        if addresses.size:
            counts[self._owner(int(addresses.min()), int(addresses.max()) + n_bytes)] += addresses.size * n_bytes

    def _owner(self, begin: int, end: int) -> str:
        for extent in self.extents:
            if extent.begin <= begin and end <= extent.end:
                return extent.name
        raise IndexError(f"a kernel moves bytes outside its arguments {[extent.name for extent in self.extents]}")


@contextmanager
def bytes_moved() -> Iterator[BytesMoved]:
    """Count what kernels move until the context is left. Needs a process that interprets."""
    watch, builder = Watch(), interpreter.interpreter_builder
    load, store = builder.create_masked_load, builder.create_masked_store
    update, exchange = builder.create_atomic_rmw, builder.create_atomic_cas

    def loads(pointers: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        watch.note(watch.moved.read, pointers, mask.data)
        return load(pointers, mask, *rest, **options)

    def stores(pointers: Any, value: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        watch.note(watch.moved.written, pointers, mask.data)
        return store(pointers, value, mask, *rest, **options)

    def updates(op: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        for counts in (watch.moved.read, watch.moved.written):
            watch.note(counts, pointers, mask.data)
        return update(op, pointers, value, mask, *rest)

    def exchanges(pointers: Any, *rest: Any) -> Any:
        for counts in (watch.moved.read, watch.moved.written):
            watch.note(counts, pointers, np.ones_like(pointers.data, dtype=bool))
        return exchange(pointers, *rest)

    run = interpreter.GridExecutor.__call__
    with ExitStack() as patches:
        patches.enter_context(patch.object(interpreter.GridExecutor, "__call__", watch.launch(run)))
        for name, counted in (
            ("create_masked_load", loads),
            ("create_masked_store", stores),
            ("create_atomic_rmw", updates),
            ("create_atomic_cas", exchanges),
        ):
            patches.enter_context(patch.object(builder, name, counted))
        yield watch.moved
