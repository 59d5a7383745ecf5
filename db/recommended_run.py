"""The run that would tell whether a candidate meets a target."""

import shlex
from typing import Any

from .comparable import Row
from .labels import ONE_SHOT, allocator_label, schedule_label, scorer_label
from .need import MOST_SAMPLES, Need


def run_command(need: Need, row: dict[str, Any], source: Row) -> str | None:
    """The run that would tell whether a candidate meets the target: beyond the measured lengths at the one asked for.

    None where no number of samples would, or more than a run takes.

    Args:
        need: What it is wanted for.
        row: The candidate, with `recommendation.RECOMMENDED_COLUMNS` but for the command.
        source: Its row of `read_results`.
    """
    if row["samples_needed"] is None:
        return None
    limit = -(-row["samples_needed"] // row["n_tasks"])
    if limit > MOST_SAMPLES:
        return None
    lengths = row["lengths"] if row["lengths"] and need.n_tokens <= row["lengths"][-1] else [need.n_tokens]
    keeps = source["keep_tokens"] is not None
    options = {
        "db": need.db,
        "model": need.model,
        "dtype": source["dtype"],
        "allocator": allocator_label(source),
        "scorer": None if source["scorer"] is None else scorer_label(source),
        "ratio": None if keeps else source["ratio"],
        "keep-tokens": source["keep_tokens"],
        "schedule": None if schedule_label(source) == ONE_SHOT else schedule_label(source),
        "sink": source["sink"],
        "window": source["window"],
        "protocol": source["protocol"],
        "tasks": ",".join(row["tasks"]),
        "length": ",".join(map(str, lengths)) if row["lengths"] else None,
        "seed": source["seed"],
        "limit": limit,
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " ".join(["lukv-bench run", *given])
