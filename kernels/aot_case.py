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
