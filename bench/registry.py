"""The plugin registry: entry points, read when they are needed; the built-in ones exactly like a stranger's."""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from .. import UserError
from .suggest import unknown

Kind = Literal["allocator", "scorer"]
METHODS: Mapping[Kind, str] = {"allocator": "allocate", "scorer": "score"}
CONTRACT: Mapping[Kind, tuple[str, ...]] = {
    "allocator": ("source", "needs"),
    "scorer": ("source", "reads", "protection"),
}


@dataclass(frozen=True)
class Argument:
    """A hyper-parameter of a plugin."""

    name: str
    type: str
    default: Any


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
    """A plugin as configured: one instance with its resolved arguments."""

    description: Description
    instance: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its registered name."""
        return self.description.name

    @property
    def fits_profile(self) -> bool:
        """Whether it declares a profile (see `scorers.base.Fitted`)."""
        return callable(getattr(self.instance, "fit", None))

    @property
    def label(self) -> str:
        """Name and the arguments that differ from their defaults, as one would type it."""
        defaults = {argument.name: argument.default for argument in self.description.arguments}
        said = [f"{name}={value}" for name, value in self.arguments.items() if value != defaults[name]]
        return self.name + (":" + ",".join(said) if said else "")


def describe_all(kind: Kind) -> list[Description]:
    """Every registered plugin of a kind by name, broken ones included."""
    return [_describe(kind, name, found) for name, found in sorted(_found(kind).items())]


def build(kind: Kind, spec: str) -> Plugin:
    """The plugin that "name" or "name:key=value,..." asks for.

    Raises:
        UserError: unknown or broken plugin, unknown or ill-typed argument.
    """
    name, _, arguments = spec.partition(":")
    found = _found(kind)
    if name not in found:
        raise unknown(kind, name, found)
    description = _describe(kind, name, found[name])
    if description.broken is not None:
        raise UserError(f"the {kind} {name!r} is broken: {description.broken}.")
    plugin = found[name][0].load()
    typed = _parse(kind, name, plugin, arguments)
    try:
        instance = plugin(**typed)
        resolved = {f.name: _plain(getattr(instance, f.name)) for f in dataclasses.fields(instance) if f.init}
    except Exception as error:  # a stranger's own check of its arguments may raise anything
        raise UserError(f"the {kind} {name!r} refuses its arguments: {error or type(error).__name__}.") from error
    return Plugin(description, instance, resolved)


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
    breach = _breach(known.kind, plugin)
    return dataclasses.replace(
        known,
        summary=(getattr(plugin, "__doc__", None) or "").strip().split("\n")[0],
        source=str(getattr(plugin, "source", "")),
        arguments=() if breach else _arguments(plugin),
        broken=breach,
    )


def _breach(kind: Kind, plugin: Any) -> str | None:
    """What of the contract a loaded plugin does not keep."""
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        return "it is not a dataclass of its hyper-parameters"
    missing = [name for name in (*CONTRACT[kind], METHODS[kind]) if not hasattr(plugin, name)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    wrong = [name for name in CONTRACT[kind] if not _keeps(name, getattr(plugin, name))]
    return f"its {', '.join(wrong)} is not what the contract says" if wrong else None


def _keeps(name: str, declared: Any) -> bool:
    """Whether a declared value is of its kind. The engine trusts declarations, so they are checked once, here."""
    from ..allocators.base import Needs
    from ..scorers.base import Protection, Reads

    if name == "needs":
        return isinstance(declared, Needs)
    if name == "reads":
        return isinstance(declared, Reads) and (declared.queries == "all" or _is_count(declared.queries))
    if name == "protection":
        return isinstance(declared, Protection) and _is_count(declared.sink) and _is_count(declared.window)
    return isinstance(declared, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _arguments(plugin: Any) -> tuple[Argument, ...]:
    hints = typing.get_type_hints(plugin)
    return tuple(
        Argument(f.name, getattr(hints[f.name], "__name__", str(hints[f.name])), _default(f))
        for f in dataclasses.fields(plugin)
        if f.init
    )


def _default(f: "dataclasses.Field[Any]") -> Any:
    if f.default is not dataclasses.MISSING:
        return _plain(f.default)
    return _plain(f.default_factory()) if f.default_factory is not dataclasses.MISSING else None


def _plain(value: Any) -> Any:
    """A hyper-parameter as JSON knows it: what is shown, stored and hashed; NaN and infinity as words."""
    from pydantic_core import to_jsonable_python

    return _finite(to_jsonable_python(value, fallback=str))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _parse(kind: Kind, name: str, plugin: Any, text: str) -> dict[str, Any]:
    from pydantic import TypeAdapter, ValidationError

    hints = typing.get_type_hints(plugin)
    known = [f.name for f in dataclasses.fields(plugin) if f.init]
    typed: dict[str, Any] = {}
    for part in filter(None, re.split(r",(?=\w+=)", text)):  # a value may hold a comma, a path for one
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"arguments of the {kind} {name!r} are written key=value, not {part!r}.")
        if key not in known:
            raise unknown(f"argument of the {kind} {name!r}", key, known)
        if key in typed:
            raise UserError(f"the argument {key} of the {kind} {name!r} is given twice.")
        try:
            typed[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError:
            wanted = getattr(hints[key], "__name__", str(hints[key]))
            raise UserError(f"the argument {key} of the {kind} {name!r} takes a {wanted}, not {value!r}.") from None
        if isinstance(typed[key], float) and not math.isfinite(typed[key]):
            raise UserError(f"the argument {key} of the {kind} {name!r} takes a finite number, not {value!r}.")
    return typed
