"""The cards that kernels are compiled for, and what one program may use on each."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """A kind of card.

    Attributes:
        name: "sm_90", "gfx942".
        backend: Triton's name of its maker's compiler.
        arch: Triton's name of the card: its compute capability as a number, or "gfx942".
        warp_size: Threads of a warp.
        shared_bytes: Shared memory that one program may ask for (CUDA C++ Programming Guide, "Compute Capabilities":
            163 and 227 KiB; CDNA 3 instruction set, "LDS": 64 KiB).
        example: A card of the kind.
    """

    name: str
    backend: Literal["cuda", "hip"]
    arch: int | str
    warp_size: int
    shared_bytes: int
    example: str


TARGETS = {
    target.name: target
    for target in (
        Target("sm_80", "cuda", 80, 32, 163 * 1024, "A100"),
        Target("sm_90", "cuda", 90, 32, 227 * 1024, "H100"),
        Target("sm_100", "cuda", 100, 32, 227 * 1024, "B200"),
        Target("gfx942", "hip", "gfx942", 64, 64 * 1024, "MI300X"),
    )
}
"""By name. Every shipped case compiles for all of them."""
