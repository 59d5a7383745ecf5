"""The plugin registry: entry points, read when they are needed; the built-in ones exactly like a stranger's."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .. import UserError
from .arguments import default_of, inner_spec, plain, read_arguments, type_name, typed_value
from .contract import Kind, breach, inner_fields, instance_breach, is_required
from .suggest import unknown


@dataclass(frozen=True)
class Argument:
    """A hyper-parameter of a plugin.

    Attributes:
        default: None where it is required.
    """

    name: str
    type: str
    default: Any
    required: bool = False


@dataclass(frozen=True)
class Description:
    """What is known of a plugin without running it.

    Attributes:
        origin: Distribution, version and place of the class.
        broken: Why it cannot be used; None where it can.
    """

    kind: Kind
    name: str
    summary: str = ""
    source: str = ""
    origin: str = ""
    distribution: str = ""
    version: str = ""
    arguments: tuple[Argument, ...] = ()
    broken: str | None = None


@dataclass(frozen=True)
class Plugin:
    """A plugin as configured: one instance with its resolved arguments.

    Attributes:
        arguments: Every hyper-parameter as JSON knows it; an inner plugin with its name, arguments, distribution
            and version.
        inner: The plugins that it holds, by the argument that named them.
    """

    description: Description
    instance: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inner: Mapping[str, "Plugin"] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its registered name."""
        return self.description.name

    @property
    def fits_profile(self) -> bool:
        """Whether it declares a profile (see `scorers.base.Fitted`), or holds a plugin that does."""
        return self.profile_owner is not None

    @property
    def profile_owner(self) -> "Plugin | None":
        """The plugin whose profile it is handed: itself, or one that it holds; None where there is none."""
        return self if _fits(self) else next(iter(_inner_owners(self)), None)

    @property
    def label(self) -> str:
        """Name and the arguments that differ from their defaults, as one would type it."""
        defaults = {argument.name: argument.default for argument in self.description.arguments}
        said = [f"{name}={self._typed(name)}" for name, value in self.arguments.items() if value != defaults[name]]
        return self.name + (":" + ",".join(said) if said else "")

    def _typed(self, name: str) -> str:
        if name not in self.inner:
            return str(self.arguments[name])
        label = self.inner[name].label
        return f"({label})" if ":" in label else label

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from other configured plugins; a profile's path is left out, since its hash counts."""
        arguments = {
            name: self.inner[name].identity if name in self.inner else value
            for name, value in self.arguments.items()
            if not (_fits(self) and name == "profile")
        }
        return _record(self.description, arguments)


def _fits(plugin: Plugin) -> bool:
    return callable(getattr(plugin.instance, "fit", None))


def _inner_owners(plugin: Plugin) -> list[Plugin]:
    owners = [inner.profile_owner for inner in plugin.inner.values()]
    return [owner for owner in owners if owner is not None]


def _record(known: Description, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": known.name,
        "arguments": dict(arguments),
        "distribution": known.distribution,
        "version": known.version,
    }


def describe_all(kind: Kind) -> list[Description]:
    """Every registered plugin of a kind by name, broken ones included."""
    return [_describe(kind, name, found) for name, found in sorted(_found(kind).items())]


def build(kind: Kind, spec: str) -> Plugin:
    """The plugin that "name" or "name:key=value,..." asks for, those that it holds in brackets: "name:of=(inner:...)".

    Raises:
        UserError: unknown or broken plugin, unknown or ill-typed argument.
    """
    name, _, text = spec.partition(":")
    found = _found(kind)
    if name not in found:
        raise unknown(kind, name, found)
    description = _describe(kind, name, found[name])
    if description.broken is not None:
        raise UserError(f"the {kind} {name!r} is broken: {description.broken}.")
    plugin = found[name][0].load()
    given, holds = read_arguments(kind, name, plugin, text), inner_fields(plugin)
    inner = {key: build(holds[key], inner_spec(kind, name, key, value)) for key, value in given.items() if key in holds}
    typed = {
        key: inner[key].instance if key in inner else typed_value(kind, name, plugin, key, value)
        for key, value in given.items()
    }
    return _instance(description, plugin, typed, inner)


def _instance(description: Description, plugin: Any, typed: Mapping[str, Any], inner: Mapping[str, Plugin]) -> Plugin:
    """The plugin with its arguments, held against what its contract says of instances."""
    kind, name = description.kind, description.name
    try:
        instance = plugin(**typed)
        arguments = {
            f.name: _record(inner[f.name].description, inner[f.name].arguments)
            if f.name in inner
            else plain(getattr(instance, f.name))
            for f in dataclasses.fields(instance)
            if f.init
        }
        wrong = instance_breach(kind, instance)
    except Exception as error:  # a stranger's own check of its arguments may raise anything
        raise UserError(f"the {kind} {name!r} refuses its arguments: {error or type(error).__name__}.") from error
    if wrong is not None:
        raise UserError(f"the {kind} {name!r} is broken: {wrong}.")
    built = Plugin(description, instance, arguments, inner)
    owners = [] if _fits(built) else [owner.label for owner in _inner_owners(built)]
    if len(owners) > 1:
        raise UserError(f"the {kind} {name!r} holds {' and '.join(owners)}, and can be handed only one profile.")
    return built


def _found(kind: Kind) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"lukv_bench.{kind}s"):
        same = found.setdefault(point.name, [])
        if all(point.value != other.value for other in same):
            same.append(point)
    return found


def _describe(kind: Kind, name: str, points: list[EntryPoint]) -> Description:
    point = points[0]
    distribution, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
    known = Description(
        kind=kind,
        name=name,
        origin=f"{distribution} {version} ({point.value})",
        distribution=distribution,
        version=version,
    )
    if len(points) > 1:
        owners = " and ".join(sorted(p.dist.name if p.dist else p.value for p in points))
        return dataclasses.replace(known, broken=f"the name is registered by both {owners}; uninstall one")
    try:
        return _read(known, point.load())
    except (Exception, SystemExit) as error:  # a stranger's module may do anything while it is imported
        return dataclasses.replace(known, broken=f"importing it fails with {type(error).__name__}: {error}")


def _read(known: Description, plugin: Any) -> Description:
    broken = breach(known.kind, plugin)
    return dataclasses.replace(
        known,
        summary=(getattr(plugin, "__doc__", None) or "").strip().split("\n")[0],
        source=str(getattr(plugin, "source", "")),
        arguments=() if broken else _arguments(plugin),
        broken=broken,
    )


def _arguments(plugin: Any) -> tuple[Argument, ...]:
    hints = typing.get_type_hints(plugin)
    return tuple(
        Argument(f.name, type_name(hints[f.name]), default_of(f), is_required(f))
        for f in dataclasses.fields(plugin)
        if f.init
    )
