"""Binds plugins to their profiles, at any depth of nesting."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...scorers.base import Profile
from ..errors import PluginError, PluginFailure
from ..guard.bound import Bound
from ..guard.call import package_of, plugin_code
from .plugin import Plugin


def with_profiles(plugin: Plugin, path: str, profiles: Mapping[str, Profile]) -> Any:
    """The plugin's instance. It and every inner plugin are bound to their profiles, if they have one.

    Args:
        plugin: The configured plugin.
        path: The plugin's path, the prefix of its inner plugins' paths in `profiles`.
        profiles: By path.

    Raises:
        PluginError: the plugin refuses the bound inner plugin.
    """
    held = {name: with_profiles(inner, f"{path}.{name}", profiles) for name, inner in plugin.inner.items()}
    changed = {name: one for name, one in held.items() if one is not plugin.inner[name].instance}
    instance = plugin.instance
    if changed:
        try:
            with plugin_code(package_of(instance)):
                instance = replace(instance, **changed)
        except PluginFailure as error:
            raise PluginError(f"{plugin.label} cannot be built around a plugin with a profile: {error}") from error
    return Bound(instance, profiles[path]) if path in profiles else instance
