"""Measurements of cost as people and programs read them."""

import sys
from collections.abc import Iterator, Mapping, Sequence

from ...db.comparable import IDENTITY, Row, Text, comparable, once_a_configuration, varying
from ..errors import printable
from .columns import MIB, as_json
from .layout import fitted
from .table import print_json, print_note, terminal_width

NOTE = (
    "Medians over the repeats with quartiles, of one cell alone in a process of its own; ttft is prefill, score, "
    "allocate, select, compact and first token together, evict the four in between. Peak is beside the model. The "
    "footprint is slots held x time held, relative to the full cache (docs/cost.md). Only seconds of one machine, and "
    "of equal tokens, can be compared."
)


def cost_groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """(title, rows) of every group of measurements whose seconds can be compared: one setting on one machine."""
    for setting, group in comparable(rows):
        machines: dict[tuple[str, int], list[Row]] = {}
        for row in group:
            machines.setdefault((str(row["machine"] or "unknown machine"), row["n_new_tokens"]), []).append(row)
        for (machine, n_new_tokens), some in machines.items():
            yield f"{setting}; {machine}; {n_new_tokens} tokens decoded", some


def show_costs(rows: Sequence[Row], form: str) -> None:
    """The measurements on stdout, as "json", "csv", "markdown" or "table"."""
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_costs_csv(rows)
    elif not rows:
        print('no measurements of cost yet; "lukv-bench run --cost" makes some')
    elif form == "markdown":
        print(costs_markdown(rows))
    else:
        print_costs(rows)


def print_costs(rows: Sequence[Row]) -> None:
    """A table on stdout for every group, and why some measurements failed."""
    for title, group in cost_groups(rows):
        columns = {name: [printable(text(row)) for row in group] for name, text in _columns(group).items()}
        lines, _ = fitted(printable(title), columns, terminal_width())
        print("\n".join(lines), end="\n\n")
    for line in _reasons(rows):
        print_note(line)
    print_note(NOTE)


def costs_markdown(rows: Sequence[Row]) -> str:
    """The same tables in Markdown."""
    lines = []
    for title, group in cost_groups(rows):
        columns = _columns(group)
        lines += [f"{printable(title)}:", "", _line(columns), "|" + "---|" * len(columns)]
        lines += [_line(text(row) for text in columns.values()) for row in group]
        lines.append("")
    return "\n".join([*lines, *(f"- {printable(line)}" for line in _reasons(rows)), NOTE])


def print_costs_csv(rows: Sequence[Row]) -> None:
    """CSV on stdout, nulls empty, nested values as JSON."""
    import csv

    from ...db.cost_rows import COST_COLUMNS

    writer = csv.writer(sys.stdout)
    writer.writerow(COST_COLUMNS)
    for row in rows:
        writer.writerow(as_json(row[name]) for name in COST_COLUMNS)


def _line(values: "Iterator[str] | Mapping[str, Text]") -> str:
    return "| " + " | ".join(printable(value).replace("|", "\\|") for value in values) + " |"


def _columns(group: Sequence[Row]) -> dict[str, Text]:
    *first, budget = once_a_configuration(IDENTITY).items()
    differing = varying([{**row, "cell": row["cost"]} for row in group])
    if "cell" in differing:
        differing["cell"] = lambda row: str(row["cost"])[:8]
    columns = dict([*first, *differing.items(), budget])
    columns |= {
        "repeats": lambda row: str(row["n_repeats"]) if row["status"] == "done" else str(row["status"]),
        "ttft s": _quartiles("ttft_s"),
        "evict s": _evict,
        "tpot s": _quartiles("tpot_s"),
        "tok/s": _number("tokens_per_s", 1),
    }
    if any(row["batch_rows"] is not None for row in group):
        columns["tok/s in batch"] = _batch
    columns |= {"KV kept, MiB": _kept, "peak, MiB": _peak, "footprint": _number("footprint", 3)}
    if any(row["energy_j"] is not None for row in group):
        columns["energy J"] = _number("energy_j", 0)
    return columns


def _quartiles(name: str) -> Text:
    def text(row: Row) -> str:
        if row[name] is None:
            return ""
        return f"{_significant(row[name])} [{_significant(row[f'{name}_q1'])}, {_significant(row[f'{name}_q3'])}]"

    return text


def _significant(seconds: float) -> str:
    """Seconds with three digits that count, at most to the microsecond."""
    digits = next((n for n, least in enumerate((100, 10, 1, 0.1, 0.01, 0.001)) if seconds >= least), 6)
    return f"{seconds:.{digits}f}"


def _number(name: str, digits: int) -> Text:
    return lambda row: "" if row[name] is None else f"{row[name]:.{digits}f}"


def _evict(row: Row) -> str:
    parts = [row[name] for name in ("score_s", "allocate_s", "select_s", "compact_s")]
    return "" if None in parts else _significant(sum(parts))


def _batch(row: Row) -> str:
    return "" if row["batch_tokens_per_s"] is None else f"{row['batch_tokens_per_s']:.1f} ({row['batch_rows']} rows)"


def _kept(row: Row) -> str:
    if row["kv_bytes_kept"] is None:
        return ""
    return f"{row['kv_bytes_kept'] / MIB:.2f} of {row['kv_bytes_full'] / MIB:.2f}"


def _peak(row: Row) -> str:
    if row["peak_bytes"] is None or row["model_bytes"] is None:
        return ""
    return f"{(row['peak_bytes'] - row['model_bytes']) / MIB:.1f}"


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Why measurements failed, each reason once."""
    yield from dict.fromkeys(f"{row['label']}: {row['error']}" for row in rows if row["status"] != "done")
