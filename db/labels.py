"""Methods and budgets as one would type them."""

from collections.abc import Mapping
from typing import Any

ONE_SHOT = "one-shot"
"""The schedule of one eviction after the whole context."""


def method_label(name: str | None, arguments: Mapping[str, Any]) -> str:
    """A plugin with its arguments: "lukv:floor=4"; "-" for none."""
    typed = ",".join(f"{key}={_value(value)}" for key, value in arguments.items())
    return f"{name or '-'}{':' + typed if typed else ''}"


def allocator_label(row: Mapping[str, Any]) -> str:
    """A result's allocator as one would type it."""
    return method_label(row["allocator"], row["allocator_args"])


def scorer_label(row: Mapping[str, Any]) -> str:
    """A result's scorer as one would type it; "-" for none."""
    return method_label(row["scorer"], row["scorer_args"])


def method_name(row: Mapping[str, Any]) -> str:
    """A result's method as one would type it: "lukv x keydiff", or the allocator alone where there is no scorer; a
    schedule other than one-shot stands behind it, "lukv x keydiff, block:128", and that it is an oracle where neither
    name says so."""
    name = allocator_label(row) if row["scorer"] is None else f"{allocator_label(row)} x {scorer_label(row)}"
    return name + schedule_suffix(row) + oracle_suffix(row)


def schedule_label(row: Mapping[str, Any]) -> str:
    """When a result's context was evicted: "one-shot", "block:128"."""
    spec = row.get("spec")
    return str(spec.get("schedule", ONE_SHOT)) if isinstance(spec, Mapping) else ONE_SHOT


def schedule_suffix(row: Mapping[str, Any]) -> str:
    """What stands behind a method's name for its schedule: ", block:128"; nothing for one-shot."""
    schedule = schedule_label(row)
    return "" if schedule == ONE_SHOT else f", {schedule}"


def is_oracle(row: Mapping[str, Any]) -> bool:
    """Whether one of a result's plugins read the future, what the reference answer attends to, which no cache knows:
    it is shown beside others and ranked nowhere."""
    spec = row.get("spec")
    return bool(spec.get("oracle")) if isinstance(spec, Mapping) else False


def oracle_suffix(row: Mapping[str, Any]) -> str:
    """What stands behind the name of an oracle that has no "oracle" in it; nothing for others."""
    return ", oracle" if is_oracle(row) and "oracle" not in (row["allocator"], row["scorer"]) else ""


def budget_label(row: Mapping[str, Any]) -> str:
    """A result's budget: "prune 0.8", "keep 256", or "-" for a full cache."""
    if row["keep_tokens"] is not None:
        return f"keep {row['keep_tokens']}"
    return f"prune {row['ratio']:g}" if row["ratio"] and row["allocator"] != "full" else "-"


def _value(value: Any) -> str:
    """An argument as one would type it; a plugin that is held by another stands in brackets."""
    if not (isinstance(value, dict) and {"name", "arguments"} <= value.keys() and isinstance(value["arguments"], dict)):
        return str(value)
    inner = method_label(value["name"], value["arguments"])
    return f"({inner})" if ":" in inner else inner
