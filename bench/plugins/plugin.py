"""Plugins: their descriptions, and configured instances."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .contract import Kind

if TYPE_CHECKING:
    from ...scorers.base import CalibrationReads


@dataclass(frozen=True)
class Argument:
    """A hyper-parameter of a plugin.

    Attributes:
        default: None if it is required.
    """

    name: str
    type: str
    default: Any
    required: bool = False


@dataclass(frozen=True)
class Description:
    """A plugin's description, available without running it.

    Attributes:
        summary: The first line of its docstring.
        details: The rest of its docstring, not indented.
        origin: Distribution, version and place of the class.
        code: Hash of its source, or a note that it has none; "" for built-in plugins, which the code version covers.
        fitted: Whether it has a profile, made by its `fit`.
        broken: Why it cannot be used; None if it can.
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
    fitted: bool = False
    broken: str | None = None


@dataclass(frozen=True)
class Plugin:
    """A plugin as configured: one instance with its resolved arguments.

    Attributes:
        arguments: Every hyper-parameter as plain JSON; an inner plugin with its name, arguments, distribution and
            version.
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

    def owners(self, path: str) -> "dict[str, Plugin]":
        """The plugins that have a profile, by path and innermost first: "allocator.of", then "allocator".

        Args:
            path: Of this plugin.
        """
        held = {
            place: owner
            for name, inner in self.inner.items()
            for place, owner in inner.owners(f"{path}.{name}").items()
        }
        return held | ({path: self} if self.is_fitted else {})

    @property
    def is_fitted(self) -> bool:
        """Whether it has a profile of its own."""
        return callable(getattr(self.instance, "fit", None))

    @property
    def calibration(self) -> "CalibrationReads":
        """What its `fit` reads."""
        from ...scorers.base import CalibrationReads

        undeclared = CalibrationReads(scores=self.description.kind == "allocator", importance=True)
        declared: CalibrationReads = getattr(self.instance, "calibration", undeclared)
        return declared

    @property
    def label(self) -> str:
        """Name and the arguments that differ from their defaults, as written on the command line."""
        return self.label_without("")

    def label_without(self, argument: str) -> str:
        """The label, one argument left out."""
        defaults = {argument.name: argument.default for argument in self.description.arguments}
        typed = [
            f"{name}={self._typed(name)}"
            for name, value in self.arguments.items()
            if name != argument and value != defaults[name]
        ]
        return self.name + (":" + ",".join(typed) if typed else "")

    def _typed(self, name: str) -> str:
        if name not in self.inner:
            return str(self.arguments[name])
        label = self.inner[name].label
        return f"({label})" if ":" in label else label

    @property
    def identity(self) -> dict[str, Any]:
        """Identifies the configured plugin. The path of a profile is left out, since the profile's hash counts."""
        arguments = {
            name: self.inner[name].identity if name in self.inner else value
            for name, value in self.arguments.items()
            if not (self.is_fitted and name == "profile")
        }
        return record(self.description, arguments)


def record(description: Description, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A configured plugin as plain JSON."""
    code = {"code": description.code} if description.code else {}
    return {
        "name": description.name,
        "arguments": dict(arguments),
        "distribution": description.distribution,
        "version": description.version,
        **code,
    }
