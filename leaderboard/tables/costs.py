"""What the measurements of one machine say, ranked."""

from collections.abc import Mapping

import pandas as pd

from ..configurations import name_configurations

MIB = 2**20
ORDERS: Mapping[str, tuple[str, str, str]] = {
    "seconds per token": ("tpot_s", "tpot_s_q1", "tpot_s_q3"),
    "seconds to the first token": ("ttft_s", "ttft_s_q1", "ttft_s_q3"),
    "peak memory": ("peak_mib", "peak_mib", "peak_mib"),
    "KV footprint": ("footprint", "footprint", "footprint"),
}
"""By what rows are ranked: the column, and those of the ends of its range."""

STEPS = ("prefill_s", "score_s", "allocate_s", "select_s", "compact_s", "first_token_s")
MEASURES = (
    *(name for order in list(ORDERS.values())[:2] for name in order),
    *STEPS,
    *("tokens_per_s", "batch_tokens_per_s", "footprint", "energy_j", "score"),
)


def at_conditions(costs: pd.DataFrame, setting: str, machine: str, place: tuple[str, int | None]) -> pd.DataFrame:
    """The measurements of a setting on a machine, of one task at one length."""
    task, length = place
    is_length = costs["length"].isna() if length is None else costs["length"] == length
    return costs[(costs["setting"] == setting) & (costs["machine"] == machine) & (costs["task"] == task) & is_length]


def newest(costs: pd.DataFrame) -> pd.DataFrame:
    """The newest done measurement of each configuration: others used other packages or settings of measuring."""
    done = costs[costs["status"] == "done"].sort_values("started_at", kind="stable")
    return done.drop_duplicates("configuration", keep="last")


def cost_table(costs: pd.DataFrame, order: str) -> pd.DataFrame:
    """The measurements with `rank`, the cheapest first.

    A rank is one more than the number of rows that are certainly cheaper: those whose upper quartile lies below the
    row's lower one. Rows without the number come last, without a rank.

    Args:
        costs: One measurement for each configuration, all under the same conditions.
        order: A key of ORDERS.
    """
    table = costs.assign(
        name=costs["configuration"].map(name_configurations(costs)),
        peak_mib=_mib(costs["peak_bytes"]) - _mib(costs["model_bytes"]),
        kept_mib=_mib(costs["kv_bytes_kept"]),
        evict_s=costs[["score_s", "allocate_s", "select_s", "compact_s"]].astype(float).sum(axis=1),
    )
    table = table.astype(dict.fromkeys(MEASURES, "float64"))
    column, low, high = ORDERS[order]
    ends = table[high].dropna().to_numpy()
    ranks = [None if value != value else 1 + int((ends < value).sum()) for value in table[low]]
    table.insert(0, "rank", pd.Series(ranks, index=table.index, dtype="Int64"))
    return table.sort_values(column, kind="stable", na_position="last").reset_index(drop=True)


def _mib(column: "pd.Series[float]") -> "pd.Series[float]":
    return column.astype("float64") / MIB


def failed(costs: pd.DataFrame) -> pd.DataFrame:
    """The measurements that gave no seconds, with their reasons."""
    rows = costs[costs["status"] == "failed"]
    return rows[["method", "budget", "error"]].reset_index(drop=True)
