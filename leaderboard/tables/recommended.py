"""What fits a memory, and how much of the full cache's score it keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .ranking import span

_MIB = 2**20
_SAVED = (
    *("standing", "method", "budget", "details", "kv_mib", "quality", "low", "high", "n_samples", "samples_needed"),
    *("p_value", "p_holm", "score", "score_full", "n_tasks", "n_documents", "kv_bytes", "command", "configuration"),
)


def recommended_table(rows: Sequence[Mapping[str, Any]], about: pd.DataFrame) -> pd.DataFrame:
    """The candidates with plain numbers, in their order.

    Args:
        rows: With `db.recommendation.RECOMMENDED_COLUMNS`, at least one.
        about: Of `ranking.describe_configurations`.
    """
    table = pd.DataFrame([{name: row.get(name) for name in _SAVED} for row in rows])
    table["details"] = table["configuration"].map(about["details"])
    table["kv_mib"] = table["kv_bytes"] / _MIB
    table["samples_needed"] = table["samples_needed"].astype("Int64")
    return table


def shown_recommended(table: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks at, first what a phone has room for; details are there only where needed."""
    shown = pd.DataFrame(
        {
            "Standing": table["standing"],
            "Method": table["method"],
            "Budget": table["budget"],
            "Details": table["details"],
            "Quality, %": table["quality"].round(9) + 0.0,
            "95% interval": [span(low, high, 1) for low, high in zip(table["low"], table["high"], strict=True)],
            "KV, MiB": table["kv_mib"],
            "Samples": table["n_samples"],
            "Needed": table["samples_needed"],
        }
    )
    return shown if table["details"].astype(bool).any() else shown.drop(columns="Details")
