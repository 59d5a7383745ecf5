"""The axes of a grid, each with its values, and the combinations that `include` and `exclude` name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from ... import UserError
from ..suggest import unknown
from .model import Model
from .several import names_of, numbers_of, shares_of, values_of
from .single import shown, text_of

if TYPE_CHECKING:
    from ..methods.budget import Budget
    from ..methods.schedule import Schedule

AXES = ("model", "allocator", "scorer", "ratio", "keep_tokens", "schedule", "tasks", "length", "seed")
"""Their options; `ratio` and `keep_tokens` are one axis, the budget."""


@dataclass(frozen=True)
class Axes:
    """Values of some axes; an axis that is not named has none."""

    models: tuple[str | Model, ...] = ()
    allocators: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()
    budgets: "tuple[Budget, ...]" = ()
    schedules: "tuple[Schedule, ...]" = ()
    tasks: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()

    def over(self, others: Self) -> Self:
        """The others' values, but for those of the axes that are named here."""
        named = {axis.name: getattr(self, axis.name) for axis in fields(self) if getattr(self, axis.name)}
        return replace(others, **named)


def parse_axes(values: Mapping[str, Any]) -> Axes:
    """The axes that are given under the names of their options; None = not named.

    Budgets that are not given are the default where neither is named; in a combination they are not named at all.
    Modules are imported where they are first needed: a wrong number is refused before tasks and plugins are read.

    Raises:
        UserError: a name is no axis, or a value is none of its axis.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if strange := [name for name in given if name not in AXES]:
        raise unknown("axis", str(strange[0]), AXES)
    ratios, counts = shares_of(given.get("ratio")), numbers_of("--keep-tokens", given.get("keep_tokens"))
    axes = ("allocator", "scorer", "schedule", "tasks")
    names = {name: names_of(given.get(name), f"--{name}") or [] for name in axes}
    lengths, seeds = numbers_of("--length", given.get("length")), numbers_of("--seed", given.get("seed"))
    read = {**names, "ratio": ratios, "keep_tokens": counts, "length": lengths, "seed": seeds}
    for name in given.keys() & read.keys():
        if not read[name]:
            raise UserError(f"--{name.replace('_', '-')} is empty; name at least one, or leave the option out.")
    from ..methods.budget import parse_budgets
    from ..methods.schedule import parse_schedules

    budgets = tuple(parse_budgets(ratios, counts)) if ratios or counts else ()
    schedules = tuple(parse_schedules(names["schedule"]))
    from ...tasks.catalog import expand

    tasks = tuple(expand(names["tasks"]))
    from ..plugins.names import split_specs

    return Axes(
        models=_models(given["model"]) if "model" in given else (),
        allocators=tuple(split_specs("allocator", names["allocator"])),
        scorers=tuple(split_specs("scorer", names["scorer"])),
        budgets=budgets,
        schedules=schedules,
        tasks=tasks,
        lengths=tuple(lengths),
        seeds=tuple(seeds),
    )


def parse_combinations(option: str, entries: Iterable[Mapping[str, Any]]) -> tuple[Axes, ...]:
    """The combinations that `include` or `exclude` lists.

    Raises:
        UserError: an entry is no mapping, names no axis, or as `parse_axes`.
    """
    parsed = []
    for entry in values_of(entries):
        if not isinstance(entry, Mapping):
            raise UserError(
                f"--{option} takes combinations such as {{allocator: lukv, ratio: 0.9}}, not {shown(entry)}."
            )
        axes = parse_axes(entry)
        if axes == Axes():
            raise UserError(f"--{option} has a combination that names no axis; name one, such as {{ratio: 0.9}}.")
        parsed.append(axes)
    return tuple(parsed)


def _models(value: object) -> tuple[str | Model, ...]:
    """Models, each once.

    Raises:
        UserError: one is neither a text nor a loaded model, or there are none.
    """
    models = [value if isinstance(value, Model) else text_of("model", value) for value in values_of(value)]
    if not models:
        raise UserError("--model is empty; name at least one, or leave the option out.")
    return tuple(dict.fromkeys(models))
