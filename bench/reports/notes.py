"""What stands under a table: the columns in plain words, what is not shown, what failed."""

from collections.abc import Iterator, Sequence

from ...db.comparable import Row, row_label

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

MOST = 10
"""Cells whose reasons are printed; the rest are counted."""


def note(against: str = "uniform") -> str:
    """The columns in plain words."""
    return NOTE.format(against=against)


def shared_documents(rows: Sequence[Row]) -> Iterator[str]:
    """A line where samples share documents, with the tasks and how many of each."""
    tasks = {
        f"{row['task']} ({row['n']} samples, {row['n_documents']} documents)": None
        for row in rows
        if row["n_documents"] is not None and row["n_documents"] < row["n"]
    }
    if tasks:
        yield f"intervals count the samples of one document together: {', '.join(tasks)}"


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
