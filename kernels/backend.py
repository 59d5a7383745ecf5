"""How an op is computed, and what this process can serve."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import torch

Backend = Literal["torch", "triton", "triton-interpret"]
"""Plain torch, the truth; compiled Triton; Triton interpreted on the CPU, which shows that a kernel is right."""

BACKENDS: tuple[Backend, ...] = get_args(Backend)
NAMES = ("auto", *BACKENDS)
"""What a user may ask for."""


class BackendError(ValueError):
    """This process cannot serve the backend asked for; the message says what to do."""


def resolve(name: str, device: "torch.device") -> Backend:
    """The backend for tensors on a device.

    "auto" is compiled Triton on a GPU where Triton is installed and does not interpret, else torch; never the
    interpreter.

    Raises:
        BackendError: an unknown name, or a backend that this process cannot serve.
    """
    if name not in NAMES:
        raise BackendError(f"there is no backend {name!r}; use one of {', '.join(NAMES)}.")
    on_gpu = device.type == "cuda"
    if name == "torch" or (name == "auto" and not (on_gpu and _installed() and not interprets())):
        return "torch"
    if not _installed():
        raise BackendError(f"the backend {name} needs Triton: pip install triton, or use the backend torch.")
    if name == "triton-interpret":
        if not interprets():
            raise BackendError(
                "the backend triton-interpret needs TRITON_INTERPRET=1 in the environment before the program starts."
            )
        return "triton-interpret"
    if not on_gpu:
        raise BackendError(f"the backend triton needs a GPU, and the tensors are on {device.type}; use torch or auto.")
    if interprets():
        raise BackendError(
            "the backend triton compiles, and TRITON_INTERPRET is set; unset it before the program starts."
        )
    return "triton"


def interprets() -> bool:
    """Whether Triton interprets in this process. It is decided when Triton is imported, which this does if it can."""
    if not _installed():
        return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")
    from triton import JITFunction
    from triton import language as tl

    return not isinstance(tl.cdiv, JITFunction)


def _installed() -> bool:
    return find_spec("triton") is not None
