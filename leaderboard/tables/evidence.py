"""What was kept of the evidence, and what became of answers that were to be copied."""

import pandas as pd

OUTCOMES = ("found", "miscopied", "missed")
"""What becomes of an answer that is to be copied from the context, best first."""


def evidence_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The complete cells whose answers have evidence, with `kept_percent`: the share of the evidence that was kept.

    Args:
        cells: With the columns of `read_cells`.
    """
    marked = cells[(cells["status"] == "complete") & (cells["n_evidence"] > 0)]
    return marked.assign(kept_percent=100 * marked["evidence_kept_share"])


def evidence_points(cells: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A point per configuration: name, allocator, score and kept_percent; those without a share are left out.

    Args:
        cells: Of `evidence_cells`, of one task and length.
        about: Of `ranking.describe_configurations`.
    """
    points = cells.dropna(subset=["kept_percent", "score"]).set_index("configuration").join(about[["name"]])
    columns = ["name", "allocator", "score", "kept_percent", "evidence_half_share", "n_evidence", "cell"]
    return points[columns].sort_values(["kept_percent", "name"], ascending=[False, True]).reset_index()


def outcome_table(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per task, length and budget: how many answers were to be copied, and the percentages of OUTCOMES.

    `n` counts answers of all configurations at that budget; `kept_percent` is the mean over them. Budgets without such
    an answer are left out, and so are oracles.

    Args:
        cells: Of `evidence_cells`.
    """
    counts = {outcome: (f"n_{outcome}", "sum") for outcome in OUTCOMES}
    groups = cells[~cells["is_oracle"].astype(bool)].groupby(
        ["task", "length", "budget"], dropna=False, sort=True, observed=True
    )
    table = groups.agg(configurations=("configuration", "nunique"), kept_percent=("kept_percent", "mean"), **counts)
    table["n"] = table[list(OUTCOMES)].sum(axis=1)
    table = table[table["n"] > 0].reset_index()
    for outcome in OUTCOMES:
        table[outcome] = 100 * table[outcome] / table["n"]
    return table[["task", "length", "budget", "configurations", "n", *OUTCOMES, "kept_percent"]]
