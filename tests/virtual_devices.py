"""CPU tensors that say they are on GPUs which are not there, so that a mistaken device is found without any."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")
INDEXING = (Tensor.__getitem__, Tensor.__setitem__)


class MixedDevices(Exception):
    """One operation has tensors of several devices."""


class VirtualDevices(TorchFunctionMode):
    """Every tensor has a label in the place of its device. As with real GPUs, an operation over several devices fails,
    but for copies between them, single numbers and indices on the CPU, and gradients, each on its tensor's device.

    An operation is what Python calls: what happens inside of one that torch itself carries out is not seen.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return label(args[0])
        if func is torch.device:
            return _device(*args, **named)
        target = _device(named["device"]) if named.get("device") is not None else None
        if target is not None:
            named["device"] = CPU
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            target, args = _moved(func, args, target)
            return _labelled(Tensor.to(*args, **named), target, copied_from=args[0])
        if func == Tensor.data.__set__:
            args[0].label = label(args[1])
        if func is torch.autograd.grad:
            gradients = func(*args, **named)
            return tuple(_labelled(one, label(of)) for one, of in zip(gradients, args[1], strict=True))
        if target is None:
            target = _common(func, args, named)
        return _labelled(func(*args, **named), target)


def label(tensor: Tensor) -> torch.device:
    """The device that a tensor says it is on."""
    device: torch.device = getattr(tensor, "label", CPU)
    return device


def _labelled(result: Any, device: torch.device, copied_from: Tensor | None = None) -> Any:
    if copied_from is not None and result is copied_from and label(result) != device:
        result = result.clone()
    for tensor in _tensors(result):
        tensor.label = device
    return result


def _device(name: Any, *index: int) -> torch.device:
    return torch.device("cuda", name) if isinstance(name, int) else torch.device(name, *index)


def _moved(func: Any, args: tuple[Any, ...], target: torch.device | None) -> tuple[torch.device, tuple[Any, ...]]:
    """Where a tensor is moved, and the arguments of a `to` without it."""
    tensor, *rest = args
    if func is Tensor.cpu:
        return CPU, (tensor,)
    if rest and isinstance(rest[0], torch.device | str | int):
        return _device(rest[0]), (tensor, *rest[1:]) if len(rest) > 1 else (tensor, CPU)
    if rest and isinstance(rest[0], Tensor):
        return label(rest[0]), (tensor, rest[0].dtype)
    return target or label(tensor), (tensor, *rest) if rest or target is None else (tensor,)


def _common(func: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> torch.device:
    """The device of an operation.

    Raises:
        MixedDevices: its tensors are on several.
    """
    if func is Tensor.copy_:
        return label(args[0])
    if func in INDEXING:
        own = label(args[0])
        indices = [*_tensors(args[1])]
        values = [value for value in _tensors(args[2:]) if indices and value.dim()]
        wrong = [one for one in indices if label(one) not in (own, CPU)] + [one for one in values if label(one) != own]
        devices = {own, *map(label, wrong)}
    else:
        every = [*_tensors((args, named))]
        devices = {label(one) for one in every if one.dim() or label(one) != CPU} or {CPU}
    if len(devices) > 1:
        raise MixedDevices(f"{getattr(func, '__name__', func)} has tensors on {sorted(map(str, devices))}")
    return devices.pop()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
