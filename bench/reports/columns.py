"""The columns of the tables of results."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...db.comparable import IDENTITY, Row, Text, comparable, once_a_configuration, varying

SCORE = "score [95%]"
OF_ORACLE = "of oracle"
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


def _kept(row: Row) -> str:
    if row["kv_bytes_kept"] is None or row["kv_bytes_full"] is None:
        return ""
    return f"{row['kv_bytes_kept'] / MIB:.2f} of {row['kv_bytes_full'] / MIB:.2f}"


def _seconds(name: str, digits: int) -> Text:
    return lambda row: "" if row[name] is None else f"{row[name]:.{digits}f}"


def _number(name: str, form: str) -> Text:
    """A mean, with how many answers it is over where these are not all."""
    return lambda row: "" if row[name] is None else form.format(row[name]) + _part(row)


def _part(row: Row) -> str:
    return "" if row["n_fidelity"] == row["n"] else f" ({row['n_fidelity']} of {row['n']})"


def _nll(row: Row) -> str:
    """Of the reference over the evicted and over the full cache."""
    if row["reference_nll"] is None or row["full_reference_nll"] is None:
        return ""
    return f"{row['reference_nll']:.3f} of {row['full_reference_nll']:.3f}{_part(row)}"


def _events(row: Row) -> str:
    return ", ".join(f"{event} ({n} of {row['n']})" for event, n in row["events"].items()) or "-"


def _evidence_kept(row: Row) -> str:
    share = row["evidence_kept_share"]
    return "" if share is None else f"{100 * share:.0f}%"


def _outcomes(row: Row) -> str:
    counts = [row[name] for name in ("n_found", "n_miscopied", "n_missed")]
    return "/".join(map(str, counts)) if any(counts) else ""


def _of_oracle(row: Row) -> str:
    """Which rows are oracles, and the share of the way from the floor to the best of them."""
    share = "" if row["share_of_oracle"] is None else f"{row['share_of_oracle']:.0f}%"
    return ", ".join(filter(None, ("oracle" if row["is_oracle"] else "", share)))


_OF_EVIDENCE: Mapping[str, Text] = {"found/miscopied/missed": _outcomes, "evidence kept": _evidence_kept}
"""Columns that are shown where a row has them."""


def groups(rows: Sequence[Row], against: str = "uniform") -> Iterator[Group]:
    """Every group of rows that may stand together."""
    for title, group in comparable(rows):
        yield Group(title, group, _columns(group, against))


def _columns(group: Sequence[Row], against: str) -> dict[str, Text]:
    *first, budget = once_a_configuration(IDENTITY).items()
    columns = dict([*first, *varying(group).items(), budget])
    columns |= {
        "n": lambda row: str(row["n"]),
        SCORE: score,
        versus(against): gain,
        "KV kept, MiB": _kept,
        "ttft s": _seconds("ttft_s", 2),
        "tpot s": _seconds("tpot_s", 3),
    }
    if any(map(_of_oracle, group)):
        columns[OF_ORACLE] = _of_oracle
    if len({row["machine"] for row in group if row["machine"]}) > 1:
        columns["machine"] = lambda row: row["machine"] or "-"
    if any(row["n_fidelity"] for row in group):
        columns |= {"KL": _number("kl_nats", "{:.4f}"), "same token": _number("agreement", "{:.1%}"), "NLL": _nll}
    if any(row["n_evidence"] for row in group):
        columns |= {name: text for name, text in _OF_EVIDENCE.items() if any(map(text, group))}
    if any(row["events"] for row in group):
        columns["events"] = _events
    return columns


def as_json(value: Any) -> Any:
    """A value for CSV: lists and objects as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value
