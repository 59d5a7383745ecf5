"""Which results may stand in one table, and which columns distinguish them. For every reader of the record."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from .labels import allocator_label, budget_label, method_name, schedule_label, scorer_label

Row = Mapping[str, Any]
"""A row of `db.results.read_results`."""

Text = Callable[[Row], str]


class Setting(NamedTuple):
    """What rows must share to stand in one table: nothing else may be ranked together."""

    model: str
    model_revision: str
    dtype: str
    protocol: str
    seed: int
    code_version: str

    @classmethod
    def of(cls, row: Row) -> "Setting":
        """The setting of a row that has these columns."""
        texts = {name: str(row[name]) for name in cls._fields if name != "seed"}
        return cls(seed=int(row["seed"]), **texts)

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that stand for it, in any database."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """The setting in words."""
        return _title(self)


SETTING = Setting._fields
_setting_of = itemgetter(*SETTING)

IDENTITY: Mapping[str, Text] = {
    "task": lambda row: str(row["task"]),
    "length": lambda row: str(row["length"] or "-"),
    "allocator": allocator_label,
    "scorer": scorer_label,
    "budget": budget_label,
}
"""Columns that distinguish the rows of a table, beside those in VARYING: never left out."""

VARYING: Mapping[str, Text] = {
    "schedule": schedule_label,
    "sink": lambda row: str(row["sink"]),
    "window": lambda row: str(row["window"]),
    "profile": lambda row: _profiles(row),
    "truncation": lambda row: str(row["spec"].get("truncation", "-")),
    "template": lambda row: str(row["spec"].get("chat_form", "-")),
    "attention": lambda row: str(row["spec"].get("attention", "-")),
    "task version": lambda row: str(row["task_version"]),
    "data": lambda row: str(row["data_revision"])[:8] or "-",
    "plugins": lambda row: " ".join(_origin(row["spec"].get(kind)) for kind in ("allocator", "scorer")),
}
"""Shown where rows of the same task, allocator, scorer and budget differ in them."""


def _profiles(row: Row) -> str:
    """The hashes of all profiles that a configuration uses."""
    others = row["spec"].get("profiles")
    hashes = [row["profile_hash"], *(others.values() if isinstance(others, dict) else ())]
    return " ".join(str(each)[:8] for each in hashes if each) or "-"


def _origin(method: Any) -> str:
    """Whose code a plugin is, those that it holds included."""
    if not (isinstance(method, dict) and {"arguments", "distribution", "version"} <= method.keys()):
        return "-"
    arguments = method["arguments"] if isinstance(method["arguments"], dict) else {}
    held = [value for value in arguments.values() if isinstance(value, dict) and "distribution" in value]
    return "+".join([f"{method['distribution']} {method['version']}", *map(_origin, held)])


def once_a_configuration(columns: Mapping[str, Text]) -> dict[str, Text]:
    """The same columns; a text that a row's configuration alone determines is made once. For rows of one database."""
    return {name: column if name in _OF_A_CELL else _remembered(column) for name, column in columns.items()}


_OF_A_CELL = ("task", "length", "task version", "data")


def _remembered(column: Text) -> Text:
    texts: dict[str, str] = {}

    def text(row: Row) -> str:
        configuration = row["configuration"]
        if configuration not in texts:
            texts[configuration] = column(row)
        return texts[configuration]

    return text


def varying(group: Sequence[Row]) -> dict[str, Text]:
    """The columns of VARYING in which rows of the same task, allocator and scorer differ.

    Rows that even those leave alike (another distribution's hash, a renamed argument) get their cell's id.
    """
    configurations = list({row["configuration"]: row for row in group}.values())
    columns = {
        name: column
        for name, column in once_a_configuration(VARYING).items()
        if (name in _OF_A_CELL or _differs(column, configurations, ("allocator", "scorer")))  # a glance at few rows
        and _differs(column, group, ("task", "length", "allocator", "scorer"))
    }
    telling = [*once_a_configuration(IDENTITY).values(), *columns.values()]
    if len(set(zip(*([column(row) for row in group] for column in telling), strict=True))) < len(group):
        columns["cell"] = lambda row: str(row["cell"])[:8]
    return columns


def _differs(column: Text, rows: Sequence[Row], shared: Sequence[str]) -> bool:
    """Whether rows that have the same values of some names differ in a column."""
    texts = [column(row) for row in rows]
    places = list(map(itemgetter(*shared), rows))
    return len(set(zip(places, texts, strict=True))) > len(set(places))


def comparable(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """(title, rows) of every group of rows that may stand in one table."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_setting_of(row), []).append(row)
    for setting, group in groups.items():
        yield _title(setting), group


def comparable_by_task(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """(title, task, rows) of every group of rows that may stand in one table on one task at one length."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*_setting_of(row), row["task"], row["length"]), []).append(row)
    for (*setting, task, length), group in groups.items():
        yield _title(setting), task if length is None else f"{task}, {length} tokens", group


def _title(setting: Sequence[Any]) -> str:
    """What the rows of a table share, given their values of SETTING."""
    model, revision, dtype, protocol, seed, code = setting
    return f"{model} ({str(revision)[:8]}), {dtype}, {protocol}, seed {seed}, lukv-bench {code}"


def place_label(row: Row) -> str:
    """A row's task at its length: "niah_single_1 1024"."""
    return str(row["task"]) if row["length"] is None else f"{row['task']} {row['length']}"


def row_label(row: Row) -> str:
    """A row as the tables name it: "niah_single_1 1024, lukv x keydiff, prune 0.8"."""
    budget = budget_label(row)
    return f"{place_label(row)}, {method_name(row)}" + ("" if budget == "-" else f", {budget}")
