"""Run a plugin's code over tensors that are not its own: what it is shown is for reading."""

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
        shown: What it is handed, by the name a message would use.

    Raises:
        PluginFailure: for whatever the code raises.
        WriteError: it wrote into a tensor, or replaced something of torch, which is put back.
    """
    stamps, process = Stamps(shown), ProcessState.take()
    try:
        with plugin_code(package_of(plugin)), torch.no_grad():
            yield
    except KeyboardInterrupt:  # ends the run, whatever the plugin was in the middle of
        process.restore()
        raise
    except Exception:
        _restore(stamps, process)
        raise
    _restore(stamps, process)


def _restore(stamps: Stamps, process: ProcessState) -> None:
    changed = [*(f"the {name}" for name in stamps.written()), *process.changed()]
    process.restore()
    if changed:
        raise WriteError(f"it changed {changed[0]}: what a plugin is shown is for reading")
