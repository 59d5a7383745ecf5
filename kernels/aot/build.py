"""Compiles one case for one card and reads what it uses. Needs Triton, and no driver."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from triton import compile as triton_compile
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability
from triton.compiler import ASTSource

from ..aot_case import Case
from .targets import Target
from .usage import Usage

_POINTER_ALIGNMENT = 16
"""Bytes, as torch's allocators give: Triton finds the same at each launch."""


def build(case: Case, target: Target) -> Usage:
    """Compile for a card, or take Triton's cached result.

    Raises:
        Exception: whatever Triton's compiler raises for a kernel that it cannot compile.
    """
    compiled = triton_compile(
        _source(case), target=GPUTarget(target.backend, target.arch, target.warp_size), options=dict(case.options)
    )
    # Attributes like n_regs would load the kernel onto a card; the assembly is there without one.
    if target.backend == "hip":
        return _read_amd(compiled.asm["amdgcn"], compiled.metadata.shared)
    return _read_ptxas(_ptxas_log(compiled.asm["ptx"], int(target.arch)), compiled.metadata.shared)


def _source(case: Case) -> ASTSource:
    """The kernel with the types of its arguments, as a launch would give them."""
    function = case.kernel
    while not hasattr(function, "cache_key"):  # the function that `heuristics` or `autotune` wrap
        function = function.fn
    names: list[str] = function.arg_names
    signature = {name: "constexpr" if name in case.constexprs else case.types[name] for name in names}
    pointers = [index for index, name in enumerate(names) if signature[name].startswith("*")]
    attrs: dict[Any, Any] = {(index,): [["tt.divisibility", _POINTER_ALIGNMENT]] for index in pointers}
    return ASTSource(fn=function, signature=signature, constexprs=dict(case.constexprs), attrs=attrs)


def _ptxas_log(ptx: str, capability: int) -> str:
    """What NVIDIA's assembler says of a kernel, with the flags that Triton gives it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        command = [get_ptxas(capability).path, "-v", "-lineinfo", "--regAllocOptLevel=2"]
        command += [f"--gpu-name={sm_arch_from_capability(capability)}", str(source), "-o", f"{folder}/kernel.cubin"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def _read_ptxas(log: str, shared_bytes: int) -> Usage:
    """Numbers from "8 bytes spill stores, 8 bytes spill loads" and "Used 32 registers"."""
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", log)]
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", log)]
    if len(spills) != 2 * len(registers) or not registers:
        raise ValueError(f"ptxas says something else than expected: {log}")
    return Usage(max(registers), sum(spills), shared_bytes)


def _read_amd(assembly: str, shared_bytes: int) -> Usage:
    """Numbers from the kernel's metadata, which ends AMD's assembly."""

    def number(key: str) -> int:
        (found,) = re.findall(rf"^\s*\.{key}:\s*(\d+)$", assembly, re.MULTILINE)
        return int(found)

    return Usage(number("vgpr_count"), 4 * number("vgpr_spill_count"), shared_bytes, number("sgpr_spill_count"))
