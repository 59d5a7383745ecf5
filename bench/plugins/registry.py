"""The plugin registry. Entry points are loaded on demand, built-in plugins exactly like third-party ones."""

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from ... import UserError
from ..errors import PluginError, PluginFailure, one_line, printable
from ..guard.call import plugin_code
from ..guard.process import ProcessState
from .arguments import default_of, inner_spec, plain, read_arguments, type_name, typed_default, typed_value
from .code_hash import code_of
from .contract import Kind, breach, inner_fields, instance_breach, is_required
from .names import check_name, distribution_of, origin_of, registered
from .plugin import Argument, Description, Plugin, record


def describe_all(kind: Kind) -> list[Description]:
    """Every registered plugin of a kind by name, broken ones included."""
    return [describe(kind, name, points) for name, points in sorted(registered(kind).items())]


def build(kind: Kind, spec: str) -> Plugin:
    """Build the plugin "name" or "name:key=value,..."; inner plugins are in brackets: "name:of=(inner:...)".

    Raises:
        UserError: a plugin is unknown or broken, or an argument is unknown or of the wrong type.
    """
    name, _, text = spec.partition(":")
    check_name(kind, name)
    points = registered(kind)[name]
    description = describe(kind, name, points)
    if description.broken is not None:
        raise UserError(f"the {kind} {name!r} is broken: {description.broken}.")
    point = points[0]
    plugin = point.load()
    try:
        with plugin_code(_package(point)):
            texts, inner_kinds = read_arguments(kind, name, plugin, text), inner_fields(plugin)
            inner = {
                key: build(inner_kinds[key], inner_spec(kind, name, key, value))
                for key, value in texts.items()
                if key in inner_kinds
            }
            typed = {
                key: inner[key].instance if key in inner else typed_value(kind, name, plugin, key, value)
                for key, value in texts.items()
            }
            return _instance(description, plugin, typed, inner)
    except PluginFailure as error:  # a plugin's own check of its arguments may raise anything
        raise UserError(f"the {kind} {name!r} refuses its arguments: {error.reason}.") from error


def _instance(description: Description, plugin: Any, typed: Mapping[str, Any], inner: Mapping[str, Plugin]) -> Plugin:
    """The plugin with its arguments, checked against the contract."""
    kind, name = description.kind, description.name
    defaults = {
        f.name: typed_default(plugin, f)
        for f in dataclasses.fields(plugin)
        if f.init and not is_required(f) and f.name not in typed
    }
    instance = plugin(**defaults, **typed)
    arguments = {
        f.name: record(inner[f.name].description, inner[f.name].arguments)
        if f.name in inner
        else plain(getattr(instance, f.name))
        for f in dataclasses.fields(instance)
        if f.init
    }
    wrong = instance_breach(kind, instance)
    if wrong is not None:
        raise UserError(f"the {kind} {name!r} is broken: {wrong}.")
    return Plugin(description, instance, arguments, inner)


def describe(kind: Kind, name: str, points: list[EntryPoint]) -> Description:
    """A plugin's description from its imported class; broken if the import fails or several plugins have the name."""
    point = points[0]
    description = origin_of(kind, name, point)
    if len(points) > 1:
        owners = " and ".join(sorted(distribution_of(other)[0] or other.value for other in points))
        return dataclasses.replace(description, broken=f"the name is registered by both {owners}; uninstall one")
    import torch  # noqa: F401  # loaded before the plugin, so that a replaced function of torch is detected

    process = ProcessState.take()
    try:
        with plugin_code(_package(point)):
            described = _read(description, point.load())
    except (UserError, PluginError) as error:
        described = dataclasses.replace(description, broken=one_line(str(error)).rstrip("."))
    except PluginFailure as error:  # a plugin's module may raise anything at import
        described = dataclasses.replace(description, broken=f"importing it fails with {error}")
    replaced = process.changed()
    process.restore()
    if replaced:
        reason = f"importing it changes {replaced[0]}, on which the answers of all methods stand"
        described = dataclasses.replace(described, broken=reason)
    return described


def _package(point: EntryPoint) -> str:
    return point.value.partition(":")[0].partition(".")[0].strip()


def _read(description: Description, plugin: Any) -> Description:
    broken = breach(description.kind, plugin)
    summary, _, details = inspect.cleandoc(str(getattr(plugin, "__doc__", None) or "")).partition("\n")
    return dataclasses.replace(
        description,
        summary=one_line(summary),
        details="\n".join(map(printable, details.strip().splitlines())),
        source=one_line(str(getattr(plugin, "source", ""))),
        arguments=() if broken else _arguments(plugin),
        code="" if broken else code_of(plugin, description.version),
        fitted=callable(getattr(plugin, "fit", None)),
        broken=broken,
    )


def _arguments(plugin: Any) -> tuple[Argument, ...]:
    hints = typing.get_type_hints(plugin)
    return tuple(
        Argument(f.name, type_name(hints[f.name]), default_of(plugin, f), is_required(f))
        for f in dataclasses.fields(plugin)
        if f.init
    )
