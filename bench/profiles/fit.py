"""Fits a plugin's profile, and checks its arrays with the plugin's own check."""

from collections.abc import Mapping
from dataclasses import fields, replace

from torch import Tensor

from ...scorers.base import CalibrationDocument
from ..errors import PluginError, PluginFailure, WriteError, message_of
from ..guard.read_only import reading
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from .file import storable_arrays
from .owner import ProfileOwner


def fit_arrays(
    owner: ProfileOwner, documents: tuple[CalibrationDocument, ...], loaded: LoadedModel
) -> dict[str, Tensor]:
    """The arrays that the plugin fits, from copies: the plugins of a calibration share its tensors.

    Raises:
        PluginError: it raised, wrote into the documents, or returned arrays that cannot be its profile.
    """
    own = tuple(replace(one, **{name: tensor.clone() for name, tensor in _tensors(one)}) for one in documents)
    tensors = [(f"document's {name}", tensor) for one in own for name, tensor in _tensors(one)]
    try:
        instance = owner.instance
        with reading(instance, tensors):
            fitted = instance.fit(own)
            fitted = dict(fitted) if isinstance(fitted, Mapping) else fitted
        arrays = storable_arrays(fitted)
        check_arrays(arrays, owner.plugin, loaded)
    except Exception as error:  # plugin code may raise anything
        raise PluginError(f"fitting a profile of {owner.plugin.name} failed: {message_of(error)}") from error
    return arrays


def check_arrays(arrays: Mapping[str, Tensor], plugin: Plugin, loaded: LoadedModel) -> None:
    """Check a profile's arrays by the plugin's own `check_profile` (`scorers.base.Verifying`), where it has one.

    Raises:
        ValueError: the arrays are not a profile of the plugin.
    """
    check = getattr(plugin.instance, "check_profile", None)
    if check is None:
        return
    try:
        with reading(plugin.instance, [(f"profile's {name}", array) for name, array in arrays.items()]):
            check(arrays, loaded.shape.n_layers, loaded.shape.n_kv_heads)
    except PluginFailure as error:  # a plugin's check may raise anything
        raise ValueError(error.reason) from error
    except WriteError as error:
        raise ValueError(message_of(error)) from error


def _tensors(document: CalibrationDocument) -> list[tuple[str, Tensor]]:
    named = [(field.name, getattr(document, field.name)) for field in fields(document)]
    return [(name, tensor) for name, tensor in named if tensor is not None]
