"""Torch's functions and settings, on which all answers depend and which any plugin could replace."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import is_
from typing import Any

ABSENT = object()


@dataclass(frozen=True)
class ProcessState:
    """A snapshot of torch's functions and settings; empty if torch is not loaded.

    Attributes:
        functions: The contents of each namespace, by its qualified name.
        settings: Default dtype, threads and the like by name.
    """

    functions: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]

    @classmethod
    def take(cls) -> "ProcessState":
        """The current state."""
        return cls(
            {place: vars(space).copy() for place, space in _spaces()},
            {name: get() for name, (get, _) in _settings().items()},
        )

    def changed(self) -> list[str]:
        """Qualified names of what was replaced since."""
        now = _settings()
        settings = [name for name, value in self.settings.items() if now[name][0]() != value]
        return settings + [f"{place}.{name}" for place, _, name, _ in self._replaced()]

    def restore(self) -> None:
        """Restore what was replaced since."""
        for _, space, name, value in list(self._replaced()):
            if value is ABSENT:
                delattr(space, name)
            else:
                setattr(space, name, value)
        for name, (get, put) in _settings().items():
            if name in self.settings and get() != self.settings[name]:
                put(self.settings[name])

    def _replaced(self) -> Iterator[tuple[str, Any, str, Any]]:
        """(namespace's name, namespace, function's name, original function). A new name counts only if it hides a
        method that a tensor inherits."""
        for place, space in _spaces():
            if place not in self.functions:
                continue
            then, now = self.functions[place], vars(space)
            if len(now) == len(then) and all(map(is_, map(now.get, then), then.values())):  # the loops below, in C
                continue
            for name, value in then.items():
                if now.get(name, ABSENT) is not value and (callable(value) or isinstance(value, property)):
                    yield place, space, name, value
            if isinstance(space, type):
                inherited = (name for name in now.keys() - then.keys() if hasattr(space.__mro__[1], name))
                yield from ((place, space, name, ABSENT) for name in sorted(inherited))


def _spaces() -> Iterator[tuple[str, Any]]:
    torch = _torch()
    if torch is not None:
        yield "torch", torch
        yield "torch.Tensor", torch.Tensor
        yield "torch.nn.functional", torch.nn.functional
        yield "torch.nn.Module", torch.nn.Module
        yield "torch.nn.Linear", torch.nn.Linear


def _settings() -> Mapping[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    torch = _torch()
    if torch is None:
        return {}
    return {
        "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
        "torch's matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
        "torch's deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
    }


def _torch() -> Any:
    """torch if it is completely loaded; it is not imported for this."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "nn") and hasattr(torch, "Tensor") else None
