"""No op with Triton kernels is forgotten by the gate."""

import ast
import builtins
from importlib import import_module
from pathlib import Path

import pytest

from lukv_bench.kernels.aot.discovery import cases_of, shipped_modules

KERNELS = Path(__file__).resolve().parents[3] / "kernels"


def folder(module: str) -> Path:
    return Path(str(import_module(module).__file__)).resolve().parent


def launched(path: Path) -> set[str]:
    """Names of the functions that a file launches: `kernel[grid](...)`."""
    names = {
        node.func.value.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript) and isinstance(node.func.value, ast.Name)
    }
    return names - set(dir(builtins))  # list[int]() looks the same


def test_every_folder_with_kernels_is_one_that_the_gate_finds() -> None:
    with_kernels = {path.parent for path in KERNELS.rglob("*.py") if "triton.jit" in path.read_text(encoding="utf-8")}
    assert with_kernels
    assert with_kernels == set(map(folder, shipped_modules()))


@pytest.mark.parametrize("module", shipped_modules())
def test_every_kernel_that_an_op_launches_has_cases(module: str) -> None:
    names = set[str]().union(*map(launched, folder(module).glob("*.py")))
    assert names
    assert names <= {case.kernel.__name__ for case in cases_of(module).values()}


def test_no_two_cases_of_different_ops_have_one_name() -> None:
    names = [name for module in shipped_modules() for name in cases_of(module)]
    assert len(set(names)) == len(names)
