"""`lukv-bench list`."""

import json as json_
import sys
import textwrap
from contextlib import redirect_stdout
from typing import Annotated, Any, NoReturn

import typer

from ..suggest import unknown
from .options import Json

KINDS = ("allocators", "scorers", "tasks", "models")


def list_(
    kind: Annotated[str, typer.Argument(help="allocators, scorers, tasks or models", metavar="KIND")],
    name: Annotated[str | None, typer.Argument(help="Show the details of one of them.", metavar="NAME")] = None,
    json: Json = False,
) -> int:
    """List allocators, scorers, tasks or models: name, summary, arguments, source, origin, broken or not.

    Tasks are listed by family, a line each.

    With a NAME, its details: the formula, where the defaults come from, where it differs from its paper. A task
    family's NAME lists its tasks.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    with redirect_stdout(sys.stderr):  # what a plugin prints at import is not part of the list
        rows = {"allocators": _allocators, "scorers": _scorers, "tasks": _tasks, "models": _models}[kind]()
    if kind == "tasks" and name is None and not json:
        _print_families(rows)
        return 0
    if name is not None:
        rows = [row for row in rows if row["name"] == name] or _family(kind, name, rows) or _not_there(kind, name, rows)
    if json:
        print(json_.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(row["name"])
        for key, value in row.items():
            if key not in ("name", "details") and value not in (None, [], "", False):
                print(f"  {key:<14} {_plain(value)}")
        if name is not None and row.get("details"):
            print(f"\n{textwrap.indent(row['details'], '  ')}")
    return 0


def _print_families(rows: list[dict[str, Any]]) -> None:
    """Print a paragraph for each family, with a line for each task: the names that `--tasks` takes."""
    from ...tasks.catalog import families

    by_name = {row["name"]: row for row in rows}
    tasks_by_family = families()
    for family in dict.fromkeys(row["family"] for row in rows):
        members = tasks_by_family[family]
        groups = [
            f"{group} ({len(of)})"
            for group, of in tasks_by_family.items()
            if group != family and set(of) <= set(members)
        ]
        print(f"{family} ({len(members)} tasks{'; groups: ' + ', '.join(groups) if groups else ''})")
        width = max(map(len, members))
        for member in members:
            print(f"  {member:<{width}}  {by_name[member]['summary']}")
        print()
    print("`lukv-bench list tasks NAME` shows the details of a task, or of a family's tasks; --tasks takes both.")


def _family(kind: str, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that the name of a family or a group stands for."""
    if kind != "tasks":
        return []
    from ...tasks.catalog import families

    return [row for row in rows if row["name"] in families().get(name, ())]


def _not_there(kind: str, name: str, rows: list[dict[str, Any]]) -> NoReturn:
    raise unknown(kind.removesuffix("s"), name, [row["name"] for row in rows])


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(
            f"{a['name']}: {a['type']}" + ("" if a.get("required") else f" = {a['default']!r}") for a in value
        )
    return str(value)


def _row(name: str, summary: str, source: str, origin: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "arguments": [],
        "source": source,
        "origin": origin,
        "broken": None,
    } | more


def _allocators() -> list[dict[str, Any]]:
    return _plugins("allocator")


def _scorers() -> list[dict[str, Any]]:
    return _plugins("scorer")


def _plugins(kind: Any) -> list[dict[str, Any]]:
    from ..plugins.source import describe_listed

    return [
        _row(
            description.name,
            description.summary,
            description.source,
            description.origin,
            details=description.details,
            arguments=[_argument(argument) for argument in description.arguments],
            code=description.code or None,
            fitted=description.fitted,
            broken=description.broken,
        )
        for description in describe_listed(kind)
    ]


def _argument(argument: Any) -> dict[str, Any]:
    shown = {"name": argument.name, "type": argument.type, "default": argument.default}
    return shown | ({"required": True} if argument.required else {})


def _tasks() -> list[dict[str, Any]]:
    from ...tasks.catalog import names, task_info

    return [
        _row(
            info.name,
            info.summary,
            info.source,
            f"lukv-bench, {info.family}, version {info.version}",
            family=info.family,
            groups=", ".join(info.groups),
            needs_length=info.needs_length,
            metric=info.metric,
            max_new_tokens=info.max_new_tokens,
            template="the model's chat template" if info.chat else "never a chat template",
            truncation=info.truncation,
            first_line=info.first_line,
        )
        for info in map(task_info, names())
    ]


def _models() -> list[dict[str, Any]]:
    from ..models.aliases import ALIASES
    from ..models.convert import alias_folder

    rows = []
    for alias in ALIASES.values():
        folder = alias_folder(alias)
        path = str(folder) if folder.is_dir() else None
        rows.append(_row(alias.name, alias.summary, alias.source, "lukv-bench", path=path))
    return rows
