"""Two configurations held against each other, in plain words and as rows for programs."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...db.comparable import Row, comparable, row_label
from ...db.labels import budget_label, method_name
from ...db.measures import SCORE, Measure
from ...db.pairs import ConfigurationPair
from ...db.statistics.paired import Paired
from ..errors import printable
from .layout import fitted
from .table import print_note, terminal_width

LEVEL = 0.05

COMPARED_COLUMNS = (
    *("a", "b", "configuration_a", "configuration_b", "model", "protocol", "task", "length", "cell_a", "cell_b"),
    *("n_tasks", "n_samples", "n_documents", "score_a", "score_b", "difference", "low", "high", "bootstrap_low"),
    *("bootstrap_high", "p_value", "p_holm", "n_drawn", "won", "lost", "tied", "samples_needed", "detectable"),
    *("incomplete", "measure"),
)
"""The columns of a comparison, in order. `task`, `length` and the cells are null in the row over all tasks;
`incomplete` are the tasks that were left out, in one text, null for none. Scores and differences are those of the
`measure`."""

NOTE = (
    "difference: mean over the same samples, tasks weighing the same, with its 95% interval; p: of the sign-flip test, "
    "how often chance alone would make a difference this large, were A and B alike on every sample; {holm}won, lost: "
    "samples on which A {wins}, and {loses}; needs: samples that would find this difference four times of five."
)
_HOLM = (
    "Holm: p corrected for the number of rows here that are about a task, and for the number that are about all tasks; "
)


def compared_rows(pairs: Sequence[ConfigurationPair]) -> list[dict[str, Any]]:
    """A row a task, and for several tasks one over all of them, with COMPARED_COLUMNS."""
    rows = []
    for pair in pairs:
        whole = len(pair.tasks) > 1
        of_pair = [_row(task.a, task.b, task.paired, task.p_holm, whole=False) for task in pair.tasks]
        of_pair += [_row(pair.tasks[0].a, pair.tasks[0].b, pair.whole, pair.p_holm, whole=True)] * whole
        of_all = {"incomplete": "; ".join(pair.incomplete) or None, "measure": pair.measure.name}
        rows += [row | of_all for row in of_pair]
    return rows


def print_comparison(pairs: Sequence[ConfigurationPair]) -> None:
    """A table and a verdict on stdout for every pair of configurations."""
    width = terminal_width()
    for pair in pairs:
        lines, _ = fitted(_heading(pair), {name: [*values] for name, values in _columns(pair).items()}, width)
        print("\n".join(lines), end="\n\n")
        for line in (*_incomplete(pair), _verdict(pair)):
            print_note(line)
        print()
    print_note(_note(pairs))


def comparison_markdown(pairs: Sequence[ConfigurationPair]) -> str:
    """The same in Markdown."""
    lines = []
    for pair in pairs:
        columns = _columns(pair)
        lines += [f"{_heading(pair)}:", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(values).replace("\n", " ") + " |" for values in zip(*columns.values(), strict=True)]
        lines += ["", *(f"{line}\n" for line in _incomplete(pair)), _verdict(pair), ""]
    return "\n".join([*lines, _note(pairs)])


def print_rows_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """CSV on stdout, nulls empty."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[name] for name in columns])


def _row(a: Row, b: Row, paired: Paired, p_holm: float, whole: bool) -> dict[str, Any]:
    values = {
        "a": method(a),
        "b": method(b),
        "configuration_a": a["configuration"],
        "configuration_b": b["configuration"],
        **{name: a[name] for name in ("model", "protocol")},
        "task": None,
        "length": None,
        "cell_a": None,
        "cell_b": None,
        **asdict(paired),
        "p_holm": p_holm,
        "incomplete": None,
        "measure": None,
    }
    if not whole:
        values |= {"task": a["task"], "length": a["length"], "cell_a": a["cell"], "cell_b": b["cell"]}
    return {name: values[name] for name in COMPARED_COLUMNS}


def method(row: Row) -> str:
    """A configuration as one would type it: "lukv x keydiff, prune 0.8"."""
    budget, name = budget_label(row), method_name(row)
    return printable(name if budget == "-" else f"{name}, {budget}")


def _names(pair: ConfigurationPair) -> tuple[str, str]:
    a, b = method(pair.tasks[0].a), method(pair.tasks[0].b)
    if a != b:
        return a, b
    return f"{a} ({pair.tasks[0].a['configuration'][:8]})", f"{b} ({pair.tasks[0].b['configuration'][:8]})"


def _heading(pair: ConfigurationPair) -> str:
    a, b = _names(pair)
    title = next(iter(comparable([pair.tasks[0].a])))[0]
    of = "" if pair.measure is SCORE else f"; {pair.measure.unit}"
    return printable(f"A: {a}; B: {b}{of}; {title}")


def _columns(pair: ConfigurationPair) -> dict[str, list[str]]:
    digits = pair.measure.digits
    rows = [(_place(task.a), task.paired, task.p_holm) for task in pair.tasks]
    if len(rows) > 1:
        rows.append((f"all {len(rows)} tasks", pair.whole, pair.p_holm))
    return {
        "task": [name for name, _, _ in rows],
        "n": [str(paired.n_samples) for _, paired, _ in rows],
        "A": [f"{paired.score_a:.{digits}f}" for _, paired, _ in rows],
        "B": [f"{paired.score_b:.{digits}f}" for _, paired, _ in rows],
        "difference [95%]": [
            f"{p.difference:+.{digits}f} [{p.low:+.{digits}f}, {p.high:+.{digits}f}]" for _, p, _ in rows
        ],
        "p": [_p(paired.p_value) for _, paired, _ in rows],
        "Holm": [_p(p_holm) for *_, p_holm in rows],
        "won": [str(paired.won) for _, paired, _ in rows],
        "lost": [str(paired.lost) for _, paired, _ in rows],
        "needs": ["-" if p.samples_needed is None else f"{p.samples_needed:,}" for _, p, _ in rows],
    }


def _place(row: Row) -> str:
    return printable(row_label(row).split(",")[0])


def _p(p_value: float) -> str:
    return f"{p_value:.4f}" if p_value >= 1e-4 else f"{p_value:.0e}"


def _verdict(pair: ConfigurationPair) -> str:
    """What the samples say, in words."""
    (a, b), whole, measure = _names(pair), pair.whole, pair.measure
    where = (
        f"over {len(pair.tasks)} tasks that weigh the same" if len(pair.tasks) > 1 else f"on {_place(pair.tasks[0].a)}"
    )
    better, worse = (a, b) if measure.favours_a(whole) else (b, a)
    counts = f"A won {whole.won} of {whole.n_samples} samples, lost {whole.lost} and tied on {whole.tied}"
    if whole.n_documents < whole.n_samples:
        counts += f", which ask about {whole.n_documents} documents"
    if pair.p_holm < LEVEL:
        size = _size(abs(whole.difference), measure)
        verb = "is better than" if measure is SCORE else "is closer to the full cache than"
        how = f"(p = {_p(pair.p_holm)}, {_how(whole)})"
        return f"{better} {verb} {worse} {where}: by {size} {how}. {counts}."
    alone = f"; p = {_p(whole.p_value)} alone, before Holm's correction" if whole.p_value < LEVEL else ""
    needs = (
        f"a difference of {_size(abs(whole.difference), measure)} takes about {whole.samples_needed:,} samples"
        if whole.samples_needed is not None
        else "their means are the same"
    )
    finds = f", and {whole.n_samples} find one of {_size(whole.detectable, measure)} four times of five"
    if not whole.detectable:
        finds = " on each of them"
    return (
        f"These samples do not tell {a} and {b} apart {where} (p = {_p(pair.p_holm)}, {_how(whole)}{alone}): {needs}"
        f"{finds}. {counts}."
    )


def _size(number: float, measure: Measure) -> str:
    return f"{number:.{measure.digits}f}{'' if measure.unit.startswith('%') else ' '}{measure.unit}"


def _incomplete(pair: ConfigurationPair) -> list[str]:
    return [printable(f"incomplete, left out: {title}") for title in pair.incomplete]


def _how(paired: Paired) -> str:
    return "exact" if paired.n_drawn is None else f"over {paired.n_drawn:,} draws"


def _note(pairs: Sequence[ConfigurationPair]) -> str:
    several = sum(len(pair.tasks) for pair in pairs) > 1
    score = all(pair.measure is SCORE for pair in pairs)
    wins, loses = ("scores more", "less") if score else ("is better", "worse")
    return NOTE.format(holm=_HOLM if several else "", wins=wins, loses=loses)
