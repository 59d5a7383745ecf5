"""Runs a plugin's code and checks that it only reads the tensors passed to it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import WriteError
from .call import package_of, plugin_code
from .process import ProcessState
from .stamps import Stamps


@contextmanager
def reading(plugin: Any, shown: Iterable[tuple[str, Tensor]]) -> Iterator[None]:
    """Run code of a plugin instance.

    Args:
        plugin: The instance.
        shown: The tensors passed to it, with their names for messages.

    Raises:
        PluginFailure: the code raised.
        WriteError: it wrote into a tensor, or replaced something of torch, which is restored.
    """
    stamps, process = Stamps(shown), ProcessState.take()
    try:
        with plugin_code(package_of(plugin)), torch.no_grad():
            yield
    except KeyboardInterrupt:  # ends the run
        process.restore()
        raise
    except Exception:
        _restore(stamps, process)
        raise
    _restore(stamps, process)


def _restore(stamps: Stamps, process: ProcessState) -> None:
    changed = [*(f"the {name}" for name in stamps.written()), *process.changed()]
    if changed:
        process.restore()
        raise WriteError(f"it changed {changed[0]}: what a plugin is shown is for reading")
