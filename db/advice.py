"""A recommendation in plain words: what fits and keeps enough, the decision, and the run that would tell."""

from collections.abc import Iterator, Sequence

from .need import Need
from .recommendation import NOT_MET, SO_FAR, SURE, Candidates
from .sizes import size

NOTE = (
    "quality: percent of the full cache's score over the same samples, tasks weighing the same, with its 95% interval; "
    "met: above the target, and Holm's correction for all that fit leaves a chance of at most 5% that any such claim "
    "is wrong, whatever the scores' distribution; met so far: above it over these samples, which may be luck; KV: what "
    "one sequence keeps of its context. The question, the answer, and until it is evicted the full context come on top."
)
"""What the words of a recommendation mean."""


def heading(found: Candidates, need: Need) -> str:
    """What the memory holds at the length asked for."""
    full = f"{need.n_tokens} tokens: full cache {size(found.full_bytes)}"
    if found.full_bytes <= need.memory_bytes:
        return f"{full}, within {size(need.memory_bytes)}"
    if found.most_per_head < 1:
        return f"{full}, and {size(need.memory_bytes)} hold not one token of each head"
    pruned = 100 * (1 - found.most_per_head / need.n_tokens)
    return f"{full}; {size(need.memory_bytes)} hold {found.most_per_head} tokens a head: prune at least {pruned:.1f}%"


def remarks(found: Candidates, need: Need) -> Iterator[str]:
    """What is not judged, and on what the others are."""
    if found.n_too_large:
        yield f"{found.n_too_large} configurations keep more than fits."
    if found.n_incomplete:
        yield f"{found.n_incomplete} configurations lack samples that others answered, and are not judged."
    if found.rows:
        lengths = found.rows[0]["lengths"]
        at = f" at {_tokens(lengths)}" if lengths else ""
        yield f"The evidence: {', '.join(found.rows[0]['tasks'])}{at}."
        if lengths and need.n_tokens > lengths[-1]:
            yield f"It is of shorter contexts than {need.n_tokens} tokens, and says little of those."


def _tokens(lengths: Sequence[int]) -> str:
    return f"{', '.join(map(str, lengths))} tokens"


def decision(found: Candidates, need: Need) -> Iterator[str]:
    """What to take, in one sentence, and what introduces the command where there is one."""
    rows, target = found.rows, f"{100 * need.share:g}% of the full cache's score"
    if found.full_bytes <= need.memory_bytes:
        yield "The full cache fits: evict nothing."
        return
    if not found.is_scored:
        yield "The full cache has no complete score above 0 here, so that nothing can be held against it."
        return
    if not rows:
        yield (
            f"Nothing in the database fits {size(need.memory_bytes)} at {need.n_tokens} tokens; run smaller budgets."
        )
        return
    best, name = rows[0], f"{rows[0]['method']}, {rows[0]['budget']}"
    if best["standing"] == SURE:
        yield f"Take {name}: it keeps at least {target} on these tasks."
    elif best["standing"] == SO_FAR:
        yield f"Nothing is sure to keep {target}; {name} does so far."
    elif best["high"] >= 100 * need.share:
        yield f"Nothing that fits keeps {target} over these samples; {name} comes closest, and may still keep it."
    else:
        yield f"Nothing that fits keeps {target}: {name} comes closest, and is below it."
    if deciding_run(found, need):
        yield "To know, if the samples to come are like these:"
    elif best["standing"] == SURE:
        return
    elif best["standing"] == SO_FAR or best["high"] >= 100 * need.share:
        yield "No number of samples that a run takes would tell it from the target."
    else:
        yield "More memory or another method is needed."


def deciding_run(found: Candidates, need: Need) -> str | None:
    """The best candidate's run, where it would tell what is not known yet; None where the full cache fits."""
    if not found.rows or found.full_bytes <= need.memory_bytes:
        return None
    best = found.rows[0]
    is_beyond = bool(best["lengths"]) and need.n_tokens > best["lengths"][-1]
    is_open = best["standing"] != SURE and best["high"] >= 100 * need.share
    command: str | None = best["command"]
    return command if is_open or (is_beyond and best["standing"] != NOT_MET) else None
