"""A recommendation in plain words: what fits and keeps enough, the decision, and the run that would tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...db.recommendation import NOT_MET, SO_FAR, SURE, Candidates
from ..errors import printable
from ..models.memory import size
from .layout import fitted
from .table import print_note, terminal_width

MOST = 10
"""Candidates that are shown; the rest are counted."""

NOTE = (
    "quality: percent of the full cache's score over the same samples, tasks weighing the same, with its 95% interval; "
    "met: above the target, and Holm's correction for all that fit leaves a chance of at most 5% that any such claim "
    "is wrong, whatever the scores' distribution; met so far: above it over these samples, which may be luck; KV: what "
    "one sequence keeps of its context. The question, the answer, and until it is evicted the full context come on top."
)


@dataclass(frozen=True)
class Recommended:
    """Candidates that are held against one full cache, with what the budgets mean at the length asked for.

    Attributes:
        candidates: See there.
        full_bytes: Of the full cache at that length.
        most_per_head: Tokens of each head that fit, less than 1 where nothing does.
    """

    candidates: Candidates
    full_bytes: int
    most_per_head: int


def print_recommendation(found: Sequence[Recommended], n_tokens: int, memory_bytes: int, share: float) -> None:
    """A table and a decision on stdout for every full cache."""
    for each in found:
        rows = each.candidates.rows
        print(printable(each.candidates.title))
        if rows:
            lines, _ = fitted(_heading(each, n_tokens, memory_bytes), _columns(rows[:MOST], n_tokens), terminal_width())
            print("\n".join(lines), end="\n\n")
        else:
            print(_heading(each, n_tokens, memory_bytes), end="\n\n")
        for line in (*_remarks(each, n_tokens), *_decision(each, n_tokens, memory_bytes, share)):
            print_note(line)
        if command := _command(each, n_tokens, memory_bytes, share):
            print(f"\n    {printable(command)}")
        print()
    print_note(NOTE)


def _heading(each: Recommended, n_tokens: int, memory_bytes: int) -> str:
    full = f"{n_tokens} tokens: full cache {size(each.full_bytes)}"
    if each.full_bytes <= memory_bytes:
        return f"{full}, within {size(memory_bytes)}"
    if each.most_per_head < 1:
        return f"{full}, and {size(memory_bytes)} hold not one token of each head"
    pruned = 100 * (1 - each.most_per_head / n_tokens)
    return f"{full}; {size(memory_bytes)} hold {each.most_per_head} tokens a head: prune at least {pruned:.1f}%"


def _columns(rows: Sequence[Mapping[str, Any]], n_tokens: int) -> dict[str, list[str]]:
    columns = {
        "method": [printable(row["method"]) for row in rows],
        "budget": [printable(row["budget"]) for row in rows],
    }
    names = [*zip(*columns.values(), strict=True)]
    if len(set(names)) < len(names):
        columns["configuration"] = [row["configuration"][:8] for row in rows]
    return columns | {
        "KV": [size(row["kv_bytes"]) for row in rows],
        "quality [95%]": [f"{row['quality']:.1f}% [{row['low']:.1f}, {row['high']:.1f}]" for row in rows],
        "n": [str(row["n_samples"]) for row in rows],
        "standing": [row["standing"] for row in rows],
    }


def _remarks(each: Recommended, n_tokens: int) -> Iterator[str]:
    rows, candidates = each.candidates.rows, each.candidates
    if len(rows) > MOST:
        yield f"{len(rows) - MOST} more fit; --json has them all."
    if candidates.n_too_large:
        yield f"{candidates.n_too_large} configurations keep more than fits."
    if candidates.n_incomplete:
        yield f"{candidates.n_incomplete} configurations lack samples that others answered, and are not judged."
    if rows:
        lengths = rows[0]["lengths"]
        at = f" at {_tokens(lengths)}" if lengths else ""
        yield f"The evidence: {', '.join(rows[0]['tasks'])}{at}."
        if lengths and n_tokens > lengths[-1]:
            yield f"It is of shorter contexts than {n_tokens} tokens, and says little of those."


def _tokens(lengths: Sequence[int]) -> str:
    return f"{', '.join(map(str, lengths))} tokens"


def _decision(each: Recommended, n_tokens: int, memory_bytes: int, share: float) -> Iterator[str]:
    """What to take, in one sentence, and what introduces the command where there is one."""
    rows, target = each.candidates.rows, f"{100 * share:g}% of the full cache's score"
    if each.full_bytes <= memory_bytes:
        yield "The full cache fits: evict nothing."
        return
    if not each.candidates.is_scored:
        yield "The full cache has no complete score above 0 here, so that nothing can be held against it."
        return
    if not rows:
        yield f"Nothing in the database fits {size(memory_bytes)} at {n_tokens} tokens; run smaller budgets."
        return
    best, name = rows[0], printable(f"{rows[0]['method']}, {rows[0]['budget']}")
    if best["standing"] == SURE:
        yield f"Take {name}: it keeps at least {target} on these tasks."
    elif best["standing"] == SO_FAR:
        yield f"Nothing is sure to keep {target}; {name} does so far."
    elif best["high"] >= 100 * share:
        yield f"Nothing that fits keeps {target} over these samples; {name} comes closest, and may still keep it."
    else:
        yield f"Nothing that fits keeps {target}: {name} comes closest, and is below it."
    if _command(each, n_tokens, memory_bytes, share):
        yield "To know, if the samples to come are like these:"
    elif best["standing"] == SURE:
        return
    elif best["standing"] == SO_FAR or best["high"] >= 100 * share:
        yield "No number of samples that a run takes would tell it from the target."
    else:
        yield "More memory or another method is needed."


def _command(each: Recommended, n_tokens: int, memory_bytes: int, share: float) -> str | None:
    """The best candidate's run, where it would tell what is not known yet; None where the full cache fits."""
    rows = each.candidates.rows
    if not rows or each.full_bytes <= memory_bytes:
        return None
    best = rows[0]
    is_beyond = bool(best["lengths"]) and n_tokens > best["lengths"][-1]
    is_open = best["standing"] != SURE and best["high"] >= 100 * share
    return best["command"] if is_open or (is_beyond and best["standing"] != NOT_MET) else None
