"""Where a model runs: on one device, or spread over several GPUs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ... import UserError
from ...kernels.backend import Backend, BackendError, resolve

if TYPE_CHECKING:
    import torch

AUTO = "auto"
"""The name of all GPUs together, or of the default device where there are not several."""


@dataclass(frozen=True)
class Spread:
    """Several GPUs, each with some of a model's layers.

    Attributes:
        devices: In order.
    """

    devices: "tuple[torch.device, ...]"

    @property
    def type(self) -> str:
        """Of its devices, as a device's own."""
        return self.devices[0].type


Place: TypeAlias = "torch.device | Spread"


def resolve_place(name: str | None) -> Place:
    """The named device, or with "auto" all GPUs if there are several; by default CUDA if available, else the CPU.

    Raises:
        UserError: it is not available on this machine.
    """
    import torch

    if name != AUTO:
        return resolve_device(name)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n_gpus < 2:
        return resolve_device(None)
    return Spread(tuple(torch.device("cuda", index) for index in range(n_gpus)))


def resolve_backend(name: str | None, place: Place) -> Backend:
    """The backend of the kernels on the devices of a place; None = "auto".

    Raises:
        UserError: there is no such backend, or this process cannot serve it.
    """
    device = place.devices[0] if isinstance(place, Spread) else place
    try:
        return resolve(AUTO if name is None else name, device)
    except BackendError as error:
        raise UserError(str(error)) from None


def resolve_device(name: str | None) -> "torch.device":
    """The named device; by default CUDA if available, else the CPU.

    Raises:
        UserError: it is not available on this machine.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend raises its own exceptions
        devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise UserError(f"cannot use device {name!r} here; available: {', '.join(devices)}.") from error
    return device
