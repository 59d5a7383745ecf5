"""Checks that a plugin declares what its contract requires."""

import dataclasses
import typing
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ...scorers.base import Reads

Kind = Literal["allocator", "scorer"]
METHODS: Mapping[Kind, str] = {"allocator": "allocate", "scorer": "score"}
CONTRACT: Mapping[Kind, tuple[str, ...]] = {
    "allocator": ("source", "needs"),
    "scorer": ("source", "reads", "protection"),
}


def breach(kind: Kind, plugin: Any) -> str | None:
    """How a plugin class violates the contract; None if it does not."""
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        return "it is not a dataclass of its hyper-parameters"
    missing = [name for name in (*CONTRACT[kind], METHODS[kind]) if not hasattr(plugin, name)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    # A property depends on the hyper-parameters, so `instance_breach` checks it.
    constants = {
        name: value
        for name, value in _declared(kind, plugin).items()
        if not isinstance(value, property | cached_property)
    }
    return _declaration_breach(kind, constants) or _inner_breach(kind, plugin)


def instance_breach(kind: Kind, instance: Any) -> str | None:
    """How a plugin's instance violates the contract; None if it does not."""
    return _declaration_breach(kind, _declared(kind, instance)) or _measuring_breach(kind, instance)


def _measuring_breach(kind: Kind, instance: Any) -> str | None:
    """How an allocator that needs its own measures fails to make them."""
    from ...allocators.base import Needs

    if kind != "allocator" or instance.needs is not Needs.MEASURES:
        return None
    missing = [name for name in ("reads", "measure") if not hasattr(instance, name)]
    if missing:
        return f"it needs its own measures and lacks {', '.join(missing)}"
    if not _keeps("reads", instance.reads):
        return "its reads is not what the contract says"
    unknown = [name for name in ("budget", "replay", "future") if getattr(instance.reads, name)]
    return f"it reads the {unknown[0]}, which is not known while it measures" if unknown else None


def inner_fields(plugin: Any) -> dict[str, Kind]:
    """The hyper-parameters of a plugin class that are plugins themselves: annotated `Scorer` or `Allocator`."""
    from ...allocators.base import Allocator
    from ...scorers.base import Scorer

    hints, kinds = typing.get_type_hints(plugin), {id(Allocator): "allocator", id(Scorer): "scorer"}
    kind_of = {f.name: kinds.get(id(hints[f.name])) for f in dataclasses.fields(plugin) if f.init}
    return {name: typing.cast(Kind, kind) for name, kind in kind_of.items() if kind is not None}


def _inner_breach(kind: Kind, plugin: Any) -> str | None:
    inner = inner_fields(plugin)
    other = [name for name, of in inner.items() if of != kind]
    if other:
        return f"its field {other[0]} is of the other kind, and {kind}s can only hold {kind}s"
    defaulted = [f.name for f in dataclasses.fields(plugin) if f.name in inner and not is_required(f)]
    return (
        f"its field {defaulted[0]} is a plugin, which the user names, and must have no default" if defaulted else None
    )


def is_required(f: "dataclasses.Field[Any]") -> bool:
    """Whether a field has no default."""
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _declared(kind: Kind, plugin: Any) -> dict[str, Any]:
    """The declarations of a plugin class or instance by name; `calibration` is optional."""
    optional = ["calibration"] if hasattr(plugin, "calibration") else []
    return {name: getattr(plugin, name) for name in (*CONTRACT[kind], *optional)}


def _declaration_breach(kind: Kind, declared: Mapping[str, Any]) -> str | None:
    wrong = [name for name, value in declared.items() if not _keeps(name, value)]
    if wrong:
        return f"its {', '.join(wrong)} is not what the contract says"
    if kind == "scorer" and "calibration" in declared and declared["calibration"].scores:
        return "its calibration reads scores, which only an allocator's can"
    if kind == "scorer" and "reads" in declared and _reads_too_much(declared["reads"]):
        late = "the future" if declared["reads"].future else "a replay"
        return f"its reads name {late}, beside which only the output projection and the budget can be read"
    return None


def _reads_too_much(reads: "Reads") -> bool:
    """Whether a scorer that is called after the prefill reads what is there only during it."""
    during = (reads.queries, reads.hidden_states, reads.queries_before_rotary, reads.rotary, reads.module)
    return (reads.future and reads.replay) or ((reads.future or reads.replay) and any(during))


def _keeps(name: str, declared: Any) -> bool:
    """Whether a declared value is of the required type."""
    from ...allocators.base import Needs
    from ...scorers.base import CalibrationReads, Protection, Reads

    if name == "needs":
        return isinstance(declared, Needs)
    if name == "calibration":
        return isinstance(declared, CalibrationReads)
    if name == "reads":
        return isinstance(declared, Reads) and (declared.queries == "all" or _is_count(declared.queries))
    if name == "protection":
        return isinstance(declared, Protection) and _is_count(declared.sink) and _is_count(declared.window)
    return isinstance(declared, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
