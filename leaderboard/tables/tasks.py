"""Scores by configuration and task."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ...db.facets import natural
from ..view import place_label
from .ranking import loss_percent


def score_table(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per configuration, a column per task at a length; missing where the cell is not complete.

    Best mean first; a configuration that lacks a task comes after all that have more of them.

    Args:
        cells: With the columns of `read_cells`.
    """
    lengths = [None if pd.isna(length) else int(length) for length in cells["length"]]
    labels = [place_label((str(task), length)) for task, length in zip(cells["task"], lengths, strict=True)]
    done = cells["score"].where(cells["status"] == "complete")
    table = cells.assign(place=labels, done=done).pivot_table(
        index="configuration", columns="place", values="done", aggfunc="mean", dropna=False, sort=False, observed=True
    )
    table = table.reindex(columns=sorted(set(labels)))
    order = np.lexsort((-table.mean(axis=1).fillna(-1).to_numpy(), -table.notna().sum(axis=1).to_numpy()))
    return table.iloc[order]


def task_table(cells: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """The configurations on one task at one length, best first, incomplete ones last and without a score; then oracles.

    Args:
        cells: Those of the task.
        about: Of `ranking.describe_configurations`.
    """
    table = cells.set_index("configuration").join(about[["name"]])
    full = table.loc[(table["allocator"] == "full") & (table["status"] == "complete"), "score"]
    table["loss_percent"] = loss_percent(table["score"], float(full.iloc[0]) if len(full) == 1 else None)
    table["kept_percent"] = 100 * table["kv_bytes_kept"] / table["kv_bytes_full"]
    columns = ["name", "score", "interval_low", "interval_high", "loss_percent", "kept_percent", "status", "n"]
    ordered = table.sort_values(["is_oracle", "score", "name"], ascending=[True, False, True], na_position="last")
    return ordered[[*columns, "samples_asked", "cell"]].reset_index()


def sample_table(scores: pd.DataFrame, cells: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """Scores of one task's samples: a row per configuration in the order of `cells`, a column per sample.

    Args:
        scores: Of `read_sample_scores`.
        cells: Those of the task, with cell and configuration.
        about: Of `ranking.describe_configurations`, for the rows' names.
    """
    own = scores[scores["cell"].isin(cells["cell"])]
    return _named(own.pivot_table(index="cell", columns="ordinal", values="score", aggfunc="mean"), cells, about)


def facet_table(
    scores: pd.DataFrame, cells: pd.DataFrame, about: pd.DataFrame, values: Mapping[str, str]
) -> pd.DataFrame:
    """Mean scores over the samples with each value of a facet: rows as of `sample_table`, a column per value.

    Args:
        scores: Of `read_sample_scores`.
        cells: Those of the task, with cell and configuration.
        about: Of `ranking.describe_configurations`, for the rows' names.
        values: By sample the facet's value, for those that have one.
    """
    own = scores[scores["cell"].isin(cells["cell"]) & scores["sample"].isin(values)]
    own = own.assign(value=own["sample"].map(dict(values)))
    table = own.pivot_table(index="cell", columns="value", values="score", aggfunc="mean")
    columns: list[str] = sorted(own["value"].unique().tolist(), key=natural)
    return _named(table[columns], cells, about)


def _named(table: pd.DataFrame, cells: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A table by cell in the order of `cells`, under the names of their configurations."""
    table = table.reindex([cell for cell in cells["cell"] if cell in table.index])
    by_cell = dict(zip(cells["cell"], cells["configuration"], strict=True))
    return table.set_axis([about.at[by_cell[cell], "name"] for cell in table.index], axis=0)
