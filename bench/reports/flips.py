"""The samples on which two configurations differ, with both answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...db.answers import read_answers
from ...db.database import Database
from ...db.pairs import ConfigurationPair
from ..errors import printable
from .answers import evidence_text
from .comparison import method
from .layout import shortened

EVIDENCE = ("outcome", "n_right_characters", "n_characters", "evidence_kept_share")

FLIP_COLUMNS = (
    *("task", "length", "ordinal", "sample", "a", "b", "score_a", "score_b", "text_a", "text_b", "references"),
    *("cell_a", "cell_b"),
    *(f"{name}_{side}" for name in EVIDENCE for side in "ab"),
)
"""The columns of a flipped sample, in order."""

_LONGEST = 160


def flipped_samples(db: Database, pairs: Sequence[ConfigurationPair]) -> list[dict[str, Any]]:
    """A row for each sample that two cells scored differently, with FLIP_COLUMNS: the ones that a lost first."""
    flips = []
    for task in (task for pair in pairs for task in pair.tasks):
        by_sample: dict[str, dict[str, Mapping[str, Any]]] = {}
        for answer in read_answers(db, [dict(task.a), dict(task.b)]):
            if answer["score"] is not None:
                by_sample.setdefault(answer["sample"], {})[answer["cell"]] = answer
        found = []
        for answers in by_sample.values():
            one, other = (answers.get(row["cell"]) for row in (task.a, task.b))
            if one is not None and other is not None and one["score"] != other["score"]:
                found.append(_flip(task.a, task.b, one, other))
        flips += sorted(found, key=lambda flip: (flip["score_a"] > flip["score_b"], flip["ordinal"]))
    return flips


def _flip(
    a: Mapping[str, Any], b: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, Any]:
    values = {
        **{name: one[name] for name in ("task", "length", "ordinal", "sample", "references")},
        "a": method(a),
        "b": method(b),
        "cell_a": a["cell"],
        "cell_b": b["cell"],
        "score_a": one["score"],
        "score_b": other["score"],
        "text_a": one["text"],
        "text_b": other["text"],
        **{f"{name}_a": one[name] for name in EVIDENCE},
        **{f"{name}_b": other[name] for name in EVIDENCE},
    }
    return {name: values[name] for name in FLIP_COLUMNS}


def flips_text(flips: Sequence[Mapping[str, Any]]) -> str:
    """A paragraph for each sample."""
    lines = []
    for flip in flips:
        place = flip["task"] if flip["length"] is None else f"{flip['task']} {flip['length']}"
        verb = "won" if flip["score_a"] > flip["score_b"] else "lost"
        lines.append(printable(f"{place}, sample {flip['ordinal']} ({flip['sample'][:8]}): A {verb}"))
        lines.append(f"  reference       {_line(' | '.join(map(str, flip['references'] or ['(none is stored)'])))}")
        for side in "ab":
            known = evidence_text({name: flip[f"{name}_{side}"] for name in EVIDENCE})
            behind = f"  ({known})" if known else ""
            text = _line(str(flip[f"text_{side}"]))
            lines.append(f"  {side.upper()}  {flip[f'score_{side}']:>5.1f}        {text}{behind}")
        lines.append("")
    names = dict.fromkeys((flip["a"], flip["b"]) for flip in flips)
    return "\n".join([*lines, *(f"A: {a}; B: {b}" for a, b in names)]) if flips else "no sample flipped"


def flips_markdown(flips: Sequence[Mapping[str, Any]]) -> str:
    """The same as a table in Markdown."""
    names = ("task", "length", "sample", "A", "score", "B", "score", "references")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for flip in flips:
        references = " / ".join(map(str, flip["references"] or []))
        values = [str(flip["task"]), str(flip["length"] or "-"), str(flip["ordinal"])]
        for side in "ab":
            values += [_line(str(flip[f"text_{side}"])), f"{flip[f'score_{side}']:.1f}"]
        lines.append("| " + " | ".join(value.replace("|", "\\|") for value in [*values, _line(references)]) + " |")
    return "\n".join(lines)


def _line(text: str) -> str:
    return shortened(printable(" ".join(text.split())) or "(empty)", _LONGEST)
