"""Binds a plugin to its profile."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ...scorers.base import Profile
from ..errors import WriteError
from .stamps import Stamps

CALLS = ("score", "allocate", "notes")
"""Methods whose first argument carries a profile."""


class Bound:
    """A plugin instance whose `LayerView` or `AllocationRequest` always carries its own profile.

    An outer plugin passes on the view or request that it got itself, which carries another profile or none. All other
    attributes are the instance's.

    Attributes:
        instance: The plugin's instance.
    """

    def __init__(self, instance: Any, profile: Profile) -> None:
        self.instance = instance
        self._profile = profile
        self._copy: Profile | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "instance" not in vars(self):  # looked up while this object is being copied
            raise AttributeError(name)
        attribute = getattr(self.instance, name)
        return partial(self._call, attribute) if name in CALLS else attribute

    def _call(self, method: Callable[..., Any], view: Any, *rest: Any) -> Any:
        """Call a method with a copy of the profile. A copy that was written into is not used again.

        Raises:
            WriteError: the plugin wrote into it.
        """
        profile = self._copy = self._copy or _copied(self._profile, view)
        stamps = Stamps((f"profile's {name}", array) for name, array in profile.arrays.items())
        result = method(replace(view, profile=profile), *rest)
        if written := stamps.written():
            self._copy = None
            raise WriteError(f"it changed the {written[0]}: what a plugin is shown is for reading")
        return result


def _copied(profile: Profile, view: Any) -> Profile:
    """A copy of the profile; a scorer's is on the device of the keys."""
    device = view.keys.device if hasattr(view, "keys") else torch.device("cpu")
    arrays = {name: array.to(device, copy=True) for name, array in profile.arrays.items()}
    return replace(profile, arrays=arrays, made=copy.deepcopy(profile.made), notes=copy.deepcopy(profile.notes))
