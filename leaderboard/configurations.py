"""The configurations of a page, each by a name that distinguishes it from the others."""

from collections.abc import Mapping

import pandas as pd

from ..db.comparable import VARYING
from ..db.labels import schedule_label

_USUAL_RATIO = 0.8


def at_place(cells: pd.DataFrame, task: str, length: int | None) -> pd.DataFrame:
    """The cells of a task at a length; None where the task has none."""
    is_length = cells["length"].isna() if length is None else cells["length"] == length
    return cells[(cells["task"] == task) & is_length]


def name_configurations(cells: pd.DataFrame) -> dict[str, str]:
    """A name by configuration, in the order of the cells: "lukv x keydiff, prune 0.8".

    Where two would have the same, what they differ in stands behind it (sink, window, profile, ...), or their ids.

    Args:
        cells: With the columns of `read_cells`.
    """
    rows = cells.drop_duplicates("configuration").set_index("configuration", drop=False)
    names = {
        str(each): str(method) if budget == "-" else f"{method}, {budget}"
        for each, method, budget in zip(rows.index, rows["method"], rows["budget"], strict=True)
    }
    for alike in _alike(names):
        records = [{str(column): value for column, value in row.items()} for row in rows.loc[alike].to_dict("records")]
        texts = {name: [column(row) for row in records] for name, column in VARYING.items()}
        for number, each in enumerate(alike):
            differing = [f", {name} {values[number]}" for name, values in texts.items() if len(set(values)) > 1]
            names[each] += "".join(differing)
    for alike in _alike(names):
        for each in alike:
            names[each] += f", {each[:8]}"
    return names


def _alike(names: Mapping[str, str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for each, name in names.items():
        groups.setdefault(name, []).append(each)
    return [group for group in groups.values() if len(group) > 1]


def usual_pair(cells: pd.DataFrame) -> tuple[str, str]:
    """Two configurations that a reader may want to compare first: the uniform allocator's and another's.

    They share scorer, budget and schedule where two do, LU-KV's at about 80% pruned if there is one; else the first
    two, or the only one twice.

    Args:
        cells: At least one, with the columns of `read_cells`.
    """
    every = cells.drop_duplicates("configuration")
    schedules = [schedule_label({"spec": spec}) for spec in every["spec"]]
    rows = every[["configuration", "allocator", "scorer", "budget", "ratio"]].assign(schedule=schedules)
    rows = rows[~every["is_oracle"]] if not every["is_oracle"].all() else rows
    uniform = rows[rows["allocator"] == "uniform"]
    others = rows[~rows["allocator"].isin(["uniform", "full"])]
    pairs = uniform.merge(others, on=["scorer", "budget", "schedule"], suffixes=("_a", "_b"))
    if pairs.empty:
        ids = [str(each) for each in rows["configuration"]]
        return ids[0], ids[min(1, len(ids) - 1)]
    distance = (pairs["ratio_b"] - _USUAL_RATIO).abs().fillna(1.0)
    best = pairs.iloc[int((distance - (pairs["allocator_b"] == "lukv")).argmin())]
    return str(best["configuration_a"]), str(best["configuration_b"])


def budgets_of_method(cells: pd.DataFrame, configuration: str) -> dict[str, str]:
    """The configurations that differ from one in the budget alone, by their budget, from the mildest to the harshest.

    Args:
        cells: Of one task at one length, with the columns of `read_cells`.
        configuration: One that the cells have.
    """
    rows = cells.drop_duplicates("configuration")
    one = rows[rows["configuration"] == configuration].iloc[0]
    alike = ["method", "sink", "window", "profile_hash"]
    is_same = pd.concat(
        [(rows[name] == one[name]) | (rows[name].isna() & pd.isna(one[name])) for name in alike], axis=1
    )
    same = rows[is_same.all(axis=1) & (rows["budget"] != "-")]
    ordered = same.assign(keep=-same["keep_tokens"].astype("Float64")).sort_values(
        ["keep", "ratio"], na_position="first"
    )
    return {str(row.budget): str(row.configuration) for row in ordered.itertuples()}


def profiles_of(cells: pd.DataFrame, configuration: str) -> dict[str, str]:
    """The hashes of the profiles that a configuration uses, by what they are for: "allocator", "scorer", ...

    Args:
        cells: With the columns of `read_cells`.
        configuration: One that the cells have.
    """
    row = cells[cells["configuration"] == configuration].iloc[0]
    others = row["spec"].get("profiles") if isinstance(row["spec"], dict) else None
    named = {"allocator": row["profile_hash"], **(others if isinstance(others, dict) else {})}
    return {str(role): each for role, each in named.items() if isinstance(each, str) and each}
