"""The columns of the tables, and which rows may stand in one table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...db.labels import budget_label, method_label

Row = Mapping[str, Any]
"""A row of `db.results.read_results`, with `interval`, `gain` and `against` from `db.comparison.compare`."""

Text = Callable[[Row], str]

SETTING = ("model", "model_revision", "dtype", "protocol", "seed", "code_version")
"""What rows must share to stand in one table: nothing else may be ranked together."""

SCORE = "score [95%]"
MIB = 2**20


@dataclass(frozen=True)
class Group:
    """Rows that may stand in one table, with its title and columns in order."""

    title: str
    rows: Sequence[Row]
    columns: Mapping[str, Text]


def versus(against: str) -> str:
    """The name of the column of differences."""
    return f"vs {against} [95%]"


def score(row: Row) -> str:
    """The score with its interval, or how far an unfinished cell is."""
    if row["status"] == "unreadable":
        return "unreadable"
    if row["status"] != "complete":
        failed = f", {row['n_failed']} failed" if row["n_failed"] else ""
        return f"{row['status']} ({row['n']} of {row['samples_asked']}{failed})"
    if row["interval"] is None:
        return f"{row['score']:.1f}"
    low, high = row["interval"]
    return f"{row['score']:.1f} [{low:.1f}, {high:.1f}]"


def gain(row: Row) -> str:
    """The paired difference with its interval."""
    if row["gain"] is None:
        return ""
    mean, low, high = row["gain"]
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def allocator(row: Row) -> str:
    """The allocator as one would type it."""
    return method_label(row["allocator"], row["allocator_args"])


def scorer(row: Row) -> str:
    """The scorer as one would type it."""
    return method_label(row["scorer"], row["scorer_args"])


def _kept(row: Row) -> str:
    if row["kv_bytes_kept"] is None or row["kv_bytes_full"] is None:
        return ""
    return f"{row['kv_bytes_kept'] / MIB:.2f} of {row['kv_bytes_full'] / MIB:.2f}"


def _seconds(name: str, digits: int) -> Text:
    return lambda row: "" if row[name] is None else f"{row[name]:.{digits}f}"


IDENTITY: Mapping[str, Text] = {
    "task": lambda row: str(row["task"]),
    "length": lambda row: str(row["length"] or "-"),
    "allocator": allocator,
    "scorer": scorer,
    "budget": budget_label,
}
"""What tells the rows of a table apart, beside what VARYING adds: never left out."""

VARYING: Mapping[str, Text] = {
    "sink": lambda row: str(row["sink"]),
    "window": lambda row: str(row["window"]),
    "profile": lambda row: (row["profile_hash"] or "-")[:8],
    "truncation": lambda row: str(row["spec"].get("truncation", "-")),
    "template": lambda row: str(row["spec"].get("chat_form", "-")),
    "attention": lambda row: str(row["spec"].get("attention", "-")),
    "task version": lambda row: str(row["task_version"]),
    "data": lambda row: str(row["data_revision"])[:8] or "-",
    "plugins": lambda row: " ".join(_origin(row["spec"].get(kind)) for kind in ("allocator", "scorer")),
}
"""Shown where rows of the same task, allocator, scorer and budget differ in them."""


def _origin(method: Any) -> str:
    """Whose code a plugin is, those that it holds included."""
    if not (isinstance(method, dict) and {"arguments", "distribution", "version"} <= method.keys()):
        return "-"
    arguments = method["arguments"] if isinstance(method["arguments"], dict) else {}
    held = [value for value in arguments.values() if isinstance(value, dict) and "distribution" in value]
    return "+".join([f"{method['distribution']} {method['version']}", *map(_origin, held)])


def _events(row: Row) -> str:
    return ", ".join(f"{event} ({n} of {row['n']})" for event, n in row["events"].items()) or "-"


def varying(group: Sequence[Row]) -> dict[str, Text]:
    """The columns of VARYING in which rows of the same task, allocator and scorer differ.

    Rows that even those leave alike (another distribution's hash, a renamed argument) get their cell's id.
    """
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in group:
        alike.setdefault(tuple(row[name] for name in ("task", "length", "allocator", "scorer")), []).append(row)
    columns = {
        name: column
        for name, column in VARYING.items()
        if any(len({column(row) for row in rows}) > 1 for rows in alike.values())
    }
    telling = [*IDENTITY.values(), *columns.values()]
    if len({tuple(column(row) for column in telling) for row in group}) < len(group):
        columns["cell"] = lambda row: str(row["cell"])[:8]
    return columns


def groups(rows: Sequence[Row], against: str = "uniform") -> Iterator[Group]:
    """Every group of rows that may stand together."""
    by_setting: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        by_setting.setdefault(tuple(row[name] for name in SETTING), []).append(row)
    for setting, group in by_setting.items():
        yield Group(title(setting), group, _columns(group, against))


def _columns(group: Sequence[Row], against: str) -> dict[str, Text]:
    *first, budget = IDENTITY.items()
    columns = dict([*first, *varying(group).items(), budget])
    columns |= {
        "n": lambda row: str(row["n"]),
        SCORE: score,
        versus(against): gain,
        "KV kept, MiB": _kept,
        "ttft s": _seconds("ttft_s", 2),
        "tpot s": _seconds("tpot_s", 3),
    }
    if len({row["machine"] for row in group if row["machine"]}) > 1:
        columns["machine"] = lambda row: row["machine"] or "-"
    if any(row["events"] for row in group):
        columns["events"] = _events
    return columns


def title(setting: Sequence[Any]) -> str:
    """What the rows of a table share, given their values of SETTING."""
    model, revision, dtype, protocol, seed, code = setting
    return f"{model} ({str(revision)[:8]}), {dtype}, {protocol}, seed {seed}, lukv-bench {code}"


def key(row: Row) -> str:
    """A row in words, as the tables name it."""
    place = row["task"] if row["length"] is None else f"{row['task']} {row['length']}"
    method = allocator(row) if row["scorer"] is None else f"{allocator(row)} x {scorer(row)}"
    budget = budget_label(row)
    return f"{place}, {method}" + ("" if budget == "-" else f", {budget}")


def as_json(value: Any) -> Any:
    """A value for CSV: lists and objects as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value
