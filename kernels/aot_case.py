"""One kernel in one shipped configuration, as it is compiled ahead of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """What a compiler must be told of a kernel, without a tensor or a device.

    Attributes:
        name: Op, kernel and the configuration in words, unique among all cases: "keydiff-scores-bf16-d128".
        kernel: The Triton function.
        types: Triton's type of each argument that is no constant, by name: "*bf16", "i32", "i64", "fp32". Pointers are
            taken to be aligned to 16 bytes.
        constexprs: The constants, by name.
        options: Of the launch: num_warps, num_stages.
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constexprs: Mapping[str, Any]
    options: Mapping[str, int] = field(default_factory=dict)


SHIPPED = (
    *(("bf16", dim) for dim in (64, 80, 96, 128, 256)),
    *(("fp32", dim) for dim in (64, 80, 128, 256)),
    ("fp16", 128),
)
"""Types and head dims that kernels are compiled for. Tiles are the same for fp16 and bf16."""
