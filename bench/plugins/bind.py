"""Plugins with their profiles, at any depth of nesting."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...scorers.base import Profile
from ..errors import PluginError, PluginFailure
from ..guard.bound import Bound
from ..guard.call import package_of, plugin_code
from .plugin import Plugin


def with_profiles(plugin: Plugin, path: str, profiles: Mapping[str, Profile]) -> Any:
    """The plugin's instance, itself and every plugin that it holds with its profile where there is one.

    Args:
        plugin: As configured.
        path: Of the plugin, by which `profiles` name it and those that it holds.
        profiles: By path.

    Raises:
        PluginError: the plugin refuses to hold another in this way.
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
