"""Detects changes of a model's weights and restores them from the model's files."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import PluginError
from ..guard.stamps import Stamps


class ModelChanged(PluginError):
    """A plugin changed the model and it cannot be read again: nothing more can be answered."""


class Weights:
    """Parameters and persistent buffers of a model. Other buffers may change as the model runs."""

    def __init__(self, model: Any, path: Path, dtype: torch.dtype) -> None:
        self._model, self._path, self._dtype = model, path, dtype
        self._own = dict(_tensors(model))
        self._in_place = [id(tensor) for tensor in _each(model)]
        self._stamps = Stamps(self._own.items())

    def written(self) -> list[str]:
        """Names of the tensors that were written into or replaced."""
        replaced: set[str] = set()
        if [id(tensor) for tensor in _each(self._model)] != self._in_place:  # names take longer, and are rarely needed
            now = dict(_tensors(self._model))
            replaced = {name for name, tensor in self._own.items() if now.get(name) is not tensor}
        return [*dict.fromkeys([*self._stamps.written(), *sorted(replaced)])]

    def restored(self) -> str | None:
        """Restore changed weights from the model's folder. Returns the name of the first, or None if none was changed.

        Raises:
            ModelChanged: they cannot be read.
        """
        names = self.written()
        if not names:
            return None
        try:
            read = dict(_tensors(_read(self._model, self._path, self._dtype)))
            for name in names:
                own = self._own[name]
                own.data = read[name].data.to(own.device)
                _put(self._model, name, own)
        except Exception as error:  # a library may raise anything over files that have changed since
            raise ModelChanged(
                f"a plugin changed the model's weights ({names[0]}) and they cannot be read from the model's files "
                f"again ({type(error).__name__}); earlier answers are kept; run the rest without that plugin."
            ) from error
        self._stamps.renew()
        return names[0]


def _read(model: Any, path: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        path, config=copy.deepcopy(model.config), dtype=dtype, use_safetensors=True, trust_remote_code=False
    )


def _tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    for prefix, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                yield f"{prefix}.{name}", buffer


def _each(module: Any) -> Iterator[Tensor | None]:
    """What `_tensors` names, in the order of the modules."""
    yield from module._parameters.values()
    yield from (buffer for name, buffer in module._buffers.items() if name not in module._non_persistent_buffers_set)
    for child in module._modules.values():
        if child is not None:
            yield from _each(child)


def _put(model: Any, name: str, tensor: Tensor) -> None:
    """Set a tensor by its name, replacing another."""
    prefix, _, own = name.rpartition(".")
    module = model.get_submodule(prefix)
    (module._parameters if own in module._parameters else module._buffers)[own] = tensor
