"""Have an allocator fit its profile, and hold the arrays to what it says of them."""

from collections.abc import Mapping
from dataclasses import fields, replace

from torch import Tensor

from ...scorers.base import CalibrationDocument
from ..errors import PluginError, PluginFailure, WriteError, message_of
from ..guard.read_only import reading
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from .file import storable_arrays


def fit_arrays(allocator: Plugin, documents: tuple[CalibrationDocument, ...], loaded: LoadedModel) -> dict[str, Tensor]:
    """What the allocator fits, from copies: the importance is shared between the scorers of a calibration.

    Raises:
        PluginError: it raised, wrote into the documents, or returned no arrays that could be its profile.
    """
    own = tuple(replace(one, **{name: tensor.clone() for name, tensor in _shown(one)}) for one in documents)
    shown = [(f"document's {name}", tensor) for one in own for name, tensor in _shown(one)]
    try:
        with reading(allocator.instance, shown):
            fitted = allocator.instance.fit(own)
            fitted = dict(fitted) if isinstance(fitted, Mapping) else fitted
        arrays = storable_arrays(fitted)
        check_arrays(arrays, allocator, loaded)
    except Exception as error:  # a stranger's tensors may raise anything
        raise PluginError(f"fitting a profile of {allocator.name} failed: {message_of(error)}") from error
    return arrays


def check_arrays(arrays: Mapping[str, Tensor], allocator: Plugin, loaded: LoadedModel) -> None:
    """Hold a profile's arrays to what the allocator says of them (`scorers.base.Verifying`); many say nothing.

    Raises:
        ValueError: with what is wrong.
    """
    check = getattr(allocator.instance, "check_profile", None)
    if check is None:
        return
    try:
        with reading(allocator.instance, [(f"profile's {name}", array) for name, array in arrays.items()]):
            check(arrays, loaded.shape.n_layers, loaded.shape.n_kv_heads)
    except PluginFailure as error:  # a stranger's check may raise anything
        raise ValueError(error.said) from error
    except WriteError as error:
        raise ValueError(message_of(error)) from error


def _shown(document: CalibrationDocument) -> list[tuple[str, Tensor]]:
    return [(field.name, getattr(document, field.name)) for field in fields(document)]
