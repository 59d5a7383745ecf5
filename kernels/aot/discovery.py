"""Finds the kernels that are shipped."""

import importlib
from pathlib import Path

from ..aot_case import Case

_KERNELS = Path(__file__).resolve().parents[1]


class CasesError(ValueError):
    """A module that should list its kernels for compilation does not."""


def shipped_modules() -> list[str]:
    """The module of Triton kernels of every op that has one, from what is on disk."""
    package = __name__.rsplit(".", 2)[0]
    return sorted(f"{package}.{path.parent.name}.triton" for path in _KERNELS.glob("*/triton.py"))


def cases_of(module: str) -> dict[str, Case]:
    """The cases of a module by name.

    Raises:
        CasesError: the module has no function `cases`, or it gives none, or two of one name.
    """
    cases = getattr(importlib.import_module(module), "cases", None)
    if cases is None:
        raise CasesError(f"{module} has no function cases(), which lists its kernels: see kernels/aot_case.py")
    listed: list[Case] = list(cases())
    named = {case.name: case for case in listed}
    if not named:
        raise CasesError(f"cases() of {module} lists no kernel")
    if len(named) < len(listed):
        raise CasesError(f"cases() of {module} has two cases of one name")
    return named
