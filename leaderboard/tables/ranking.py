"""The tables of the leaderboard: who is ranked where, what each configuration keeps, who is incomplete."""

from collections.abc import Mapping, Sequence

import pandas as pd

_MIB = 2**20
_DIGITS = 9
"""Those after them depend on the order of summation."""

_ABOUT = ("method", "budget", "allocator", "scorer", "ratio", "keep_tokens", "spec")
_MEANS = ("kv_bytes_kept", "kv_bytes_full")
FIDELITY = ("kl_nats", "agreement")
SECONDS = ("prefill_s", "evict_s", "ttft_s", "tpot_s")

ALWAYS = ("Rank", "Score", "Budget", "Method")
SCORE_COLUMNS = (*ALWAYS, "Details", "95% interval", "Loss, %", "95% of loss", "Kept, MiB", "Places")
FIDELITY_COLUMNS = (*ALWAYS, "Details", "KL, nats", "Same token, %", "Of oracle, %", "Kept, MiB")


def describe_configurations(cells: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """A row per configuration, by its id: name, method, budget, details and what it keeps.

    `kv_bytes_kept` and `kv_bytes_full` are means over the tasks, which weigh the same; missing where none is complete.
    So are `kl_nats` and `agreement`; missing where some complete task has an answer without them.

    Args:
        cells: With the columns of `read_cells`.
        names: A name by configuration.
    """
    groups = cells.groupby("configuration", sort=False)
    about = groups[list(_ABOUT)].first()
    about = about.join(groups[list(_MEANS)].mean()).join(_fidelity(cells))
    about.insert(0, "name", [names[str(each)] for each in about.index])
    heads = about["method"].where(about["budget"] == "-", about["method"] + ", " + about["budget"])
    details = [name.removeprefix(head).lstrip(", ") for name, head in zip(about["name"], heads, strict=True)]
    about["details"] = details
    return about


def _fidelity(cells: pd.DataFrame) -> pd.DataFrame:
    complete = cells[cells["status"] == "complete"]
    measured = complete[list(FIDELITY)].where(complete["n_fidelity"] == complete["n"])
    groups = measured.groupby(complete["configuration"], sort=False)
    return groups.mean().where(groups.count().eq(groups.size(), axis=0))


def ranking_table(ranked: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """The ranked configurations with plain numbers, in the order of their scores.

    Args:
        ranked: Of `ranks.ranks_of`.
        about: Of `describe_configurations`.
    """
    table = ranked.join(about, on="configuration")
    for column in ("score", "loss_percent", "loss_low", "loss_high"):
        table[column] = table[column].round(_DIGITS) + 0.0  # no minus before a nought
    table["kept_percent"] = 100 * table["kv_bytes_kept"] / table["kv_bytes_full"]
    table["kept_mib"] = table["kv_bytes_kept"] / _MIB
    columns = (
        *("rank", "best_place", "worst_place", "method", "budget", "details", "score", "interval_low"),
        *("interval_high", "loss_percent", "loss_low", "loss_high", "kept_percent", "kept_mib"),
        *(*FIDELITY, "share_of_oracle", "n_tasks", "n_samples", "configuration"),
    )
    return table[list(columns)]


def best_by_budget(table: pd.DataFrame) -> pd.DataFrame:
    """The best-scored configuration of each budget, from the budget that keeps most to the one that keeps least.

    With n_others, how many more are ranked at this budget, and n_sharing, how many of them share its rank.

    Args:
        table: Of `ranking_table`.
    """
    evicting = table[table["budget"] != "-"]
    groups = evicting.groupby("budget", sort=False)
    best = groups.head(1)
    sharing = evicting.groupby(["budget", "rank"], sort=False).size()
    best = best.assign(
        n_others=[len(groups.get_group(budget)) - 1 for budget in best["budget"]],
        n_sharing=[int(sharing[key]) - 1 for key in zip(best["budget"], best["rank"], strict=True)],
    )
    return best.sort_values("kept_percent", ascending=False, kind="stable").reset_index(drop=True)


def loss_percent(scores: "pd.Series[float]", full: float | None) -> "pd.Series[float]":
    """What is lost of the full cache's score, in percent of it; missing where that is 0 or not there."""
    level = full or float("nan")
    return (100 * (level - scores) / level).round(_DIGITS) + 0.0


def full_score(ranked: pd.DataFrame, about: pd.DataFrame) -> float | None:
    """The score of the full cache; None unless exactly one is ranked."""
    is_full = ranked["configuration"].map(about["allocator"]) == "full"
    return float(ranked.loc[is_full, "score"].iloc[0]) if is_full.sum() == 1 else None


def has_fidelity(table: pd.DataFrame) -> bool:
    """Whether anything was measured that `FIDELITY_COLUMNS` show."""
    return bool(table[[*FIDELITY, "share_of_oracle"]].notna().any(axis=None))


def shown_ranking(table: pd.DataFrame, columns: Sequence[str] = SCORE_COLUMNS) -> pd.DataFrame:
    """What a reader looks at, first what a phone has room for; spans are texts, what is empty is left out.

    Args:
        table: Of `ranking_table`.
        columns: `SCORE_COLUMNS` or `FIDELITY_COLUMNS`: a desktop has no room for both.
    """
    places = [span(low, high, 0) for low, high in zip(table["best_place"], table["worst_place"], strict=True)]
    intervals = [span(low, high, 1) for low, high in zip(table["interval_low"], table["interval_high"], strict=True)]
    losses = [span(low, high, 1) for low, high in zip(table["loss_low"], table["loss_high"], strict=True)]
    shown = pd.DataFrame(
        {
            "Rank": table["rank"],
            "Score": table["score"],
            "Budget": table["budget"].where(table["budget"] != "-", "full"),
            "Method": table["method"],
            "Details": table["details"],
            "95% interval": intervals,
            "Loss, %": table["loss_percent"],
            "95% of loss": losses,
            "Kept, MiB": table["kept_mib"],
            "KL, nats": table["kl_nats"],
            "Same token, %": 100 * table["agreement"],
            "Of oracle, %": table["share_of_oracle"],
            "Places": places,
        }
    )
    filled = shown.columns[shown.replace("", None).notna().any()]
    return shown[[name for name in columns if name in ALWAYS or name in filled]]


def seconds_table(cells: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """What each configuration's answers took, a row per machine; in the order of `about`, never of the seconds."""
    timed = cells[cells[list(SECONDS)].notna().any(axis=1)]
    groups = timed.groupby(["configuration", "machine"], sort=False, dropna=False)
    seconds = groups[list(SECONDS)].mean().join(groups["task"].count().rename("n_cells")).reset_index()
    seconds = seconds.join(about[["method", "budget", "details"]], on="configuration")
    order = {each: place for place, each in enumerate(about.index)}
    seconds = seconds.sort_values("configuration", key=lambda ids: ids.map(order), kind="stable")
    columns = ["method", "budget", "details", *SECONDS, "machine", "n_cells", "configuration"]
    return seconds[columns].reset_index(drop=True)


def incomplete_table(incomplete: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """The configurations that are not ranked, with what each lacks.

    Args:
        incomplete: Of `db.statistics.ranking.rank`.
        about: Of `describe_configurations`.
    """
    table = incomplete.join(about[["method", "budget", "details"]], on="configuration")
    table["missing"] = ["; ".join(each) for each in table["missing"]]
    columns = ["method", "budget", "details", "n_complete", "n_tasks", "missing", "configuration"]
    return table[columns].sort_values("n_complete", ascending=False, kind="stable").reset_index(drop=True)


def configuration_cells(cells: pd.DataFrame, configuration: str) -> pd.DataFrame:
    """One configuration's results, a row per task."""
    own = cells[cells["configuration"] == configuration]
    columns = ["task", "length", "status", "n", "samples_asked", "score", "interval_low", "interval_high", "error"]
    return own[[*columns, "cell"]].sort_values(["task", "length"]).reset_index(drop=True)


def span(low: float, high: float, digits: int) -> str:
    """Two numbers, or one where they are the same. A hyphen before the first would make a formula of it."""
    if pd.isna(low):
        return ""
    low, high = round(low, digits) + 0.0, round(high, digits) + 0.0  # no minus before a nought
    text = f"{low:.{digits}f} to {high:.{digits}f}" if high > low else f"{low:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")
