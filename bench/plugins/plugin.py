"""A plugin as it is described, and as it is configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .contract import Kind


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
        summary: The first line of its docstring.
        details: The rest of its docstring, not indented.
        origin: Distribution, version and place of the class.
        code: Hash of its source, or that it has none; "" for our own, which the code version speaks for.
        broken: Why it cannot be used; None where it can.
    """

    kind: Kind
    name: str
    summary: str = ""
    details: str = ""
    source: str = ""
    origin: str = ""
    distribution: str = ""
    version: str = ""
    arguments: tuple[Argument, ...] = ()
    code: str = ""
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
    def parts(self) -> "tuple[Plugin, ...]":
        """Itself and every plugin that it holds, at any depth."""
        return (self, *(part for held in self.inner.values() for part in held.parts))

    @property
    def profile_owner(self) -> "Plugin | None":
        """The plugin whose profile it is handed: itself, or one that it holds; None where there is none."""
        return self if fits(self) else next(iter(inner_owners(self)), None)

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
            if not (fits(self) and name == "profile")
        }
        return record(self.description, arguments)


def fits(plugin: Plugin) -> bool:
    """Whether it declares a profile of its own."""
    return callable(getattr(plugin.instance, "fit", None))


def inner_owners(plugin: Plugin) -> list[Plugin]:
    """The plugins that it holds, at any depth, whose profiles it could be handed."""
    owners = [inner.profile_owner for inner in plugin.inner.values()]
    return [owner for owner in owners if owner is not None]


def record(known: Description, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A configured plugin as JSON knows it."""
    code = {"code": known.code} if known.code else {}
    return {
        "name": known.name,
        "arguments": dict(arguments),
        "distribution": known.distribution,
        "version": known.version,
        **code,
    }
