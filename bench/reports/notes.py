"""What stands under a table: the columns in plain words, what is not shown, what failed."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...db.comparable import SETTING, Row, row_label
from ...db.labels import schedule_label

SCORE_INTERVAL = "95% interval (Wilson's for right and wrong answers, narrower for graded ones)"
DIFFERENCE_INTERVAL = "95% interval (Bonett and Price's)"
NOTE = (
    f"score: 0 to 100, higher is better, with its {SCORE_INTERVAL}; vs {{against}}: the mean difference to {{against}} "
    f"over the same samples, above 0 is better, with its {DIFFERENCE_INTERVAL}; "
    'budget: "prune 0.8" evicts 80% of the context\'s cache, "keep 256" keeps 256 tokens per KV head on average; '
    "KV kept: the evicted cache's own bytes, mean over samples; ttft and tpot: seconds to the first token and for each "
    "further one, indicative (one prefill is shared by all cells of a sample), never ranked, and empty where "
    "configurations decoded together (--batch 1 takes them)."
)
FIDELITY = (
    "KL: of the evicted from the full cache's next token, in nats, mean over the full cache's answer; same token: the "
    "share of it on which both choose the same; NLL: of the reference's tokens in nats, and over the full cache."
)
EVIDENCE = (
    "found/miscopied/missed: answers that were to be copied from the context; evidence kept: the share of the tokens "
    "the answer stands in that a head keeps, mean over heads and answers."
)
ORACLE = (
    "of oracle: the share of the way from the floor (uniform x streaming_llm) to oracle x oracle; an oracle has read "
    "what the reference answer attends to, and is ranked nowhere."
)

MOST = 10
"""Lines of one kind that are printed; the rest are counted."""

_PLACE = ("task", "length", "task_version", "data_revision")


def note(rows: Sequence[Row], against: str = "uniform") -> str:
    """The columns of some rows in plain words."""
    notes = [NOTE.format(against=against)]
    notes += [FIDELITY] * any(row["n_fidelity"] for row in rows)
    notes += [EVIDENCE] * any(row["n_evidence"] for row in rows)
    notes += [ORACLE] * any(row["is_oracle"] for row in rows)
    return " ".join(notes)


def shared_documents(rows: Sequence[Row]) -> Iterator[str]:
    """A line where samples share documents, with the tasks and how many of each."""
    tasks = {
        f"{row['task']} ({row['n']} samples, {row['n_documents']} documents)": None
        for row in rows
        if row["n_documents"] is not None and row["n_documents"] < row["n"]
    }
    if tasks:
        yield f"intervals count the samples of one document together: {', '.join(tasks)}"


def equal_kept(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each set of configurations that kept the same positions of every sample of a task by the same
    schedule: their scores are those of one cache, whatever their names claim."""
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["kept_hash"] is not None:
            alike.setdefault(
                (*(row[name] for name in (*_PLACE, *SETTING)), schedule_label(row), row["kept_hash"]), []
            ).append(row)
    places: dict[tuple[str, ...], list[str]] = {}
    for same in alike.values():
        if len(same) > 1:
            at = "" if same[0]["length"] is None else f" at {same[0]['length']}"
            places.setdefault(tuple(str(row["label"]) for row in same), []).append(f"{same[0]['task']}{at}")
    for labels, tasks in list(places.items())[:MOST]:
        yield f"kept the same positions of every sample: {', '.join(labels)} ({', '.join(dict.fromkeys(tasks))})"
    if len(places) > MOST:
        yield f"... and {len(places) - MOST} more sets; --json has the hash of what each cell kept"


def dropped_note(names: Sequence[str]) -> str:
    """Which columns a narrow terminal goes without."""
    return f"not shown for lack of width: {', '.join(names)}; --json, --csv and --markdown have every column."


def reasons(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each cell in which something failed, and what to do."""
    failed = [row for row in rows if row["error"] is not None or row["n_failed"]]
    for row in failed[:MOST]:
        if row["status"] == "unreadable":
            cell = row["cell"][:8]
            yield (
                f"unreadable: cell {cell} ({row_label(row)}): {_one_line(row['error'])}; another program changed it, "
                f'"lukv-bench results --delete {cell}" removes it, and the same run makes it again'
            )
        else:
            n = row["n_failed"]
            answers = f"{n} of {row['samples_asked']} answers failed: " if n else ""
            yield f"failed: {row_label(row)}: {answers}{_one_line(row['error'])}"
    if len(failed) > MOST:
        yield f"... and {len(failed) - MOST} more cells; --json has every reason"
    if any(row["status"] != "unreadable" for row in failed):
        yield "the same run again retries what failed"


def _one_line(error: str | None) -> str:
    return " ".join((error or "no reason was recorded").split())
