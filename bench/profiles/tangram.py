"""Writes the head groups of LU-KV profiles as Tangram reads them.

Tangram (arXiv 2606.06302) serves heads of unequal length with pages for several heads; a cluster map says which heads
share pages.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ...allocators.lukv import TARGETS, check_curve
from ...scorers.base import Profile
from ..files.access import write_whole
from .file import profile_hash
from .head_groups import Scope, group_heads

SCOPES = {"model": "global", "layer": "per_layer"}
"""Tangram's names."""


@dataclass(frozen=True)
class Grouping:
    """How heads are grouped.

    Attributes:
        size: Heads that share pages (its `--page-group-size`).
        kept_percent: The budget at which they are compared, from 1 to 99 percent kept.
        scope: Whether heads of different layers may share pages.
    """

    size: int
    kept_percent: int
    scope: Scope


def write_tangram(profile: Profile, path: Path, grouping: Grouping) -> str:
    """Write a cluster map; returns a message on how well the groups fit.

    Raises:
        UserError: it is not a profile of LU-KV, its heads cannot be grouped so, or the file cannot be written.
    """
    if profile.kind != "lukv":
        raise UserError(f"Tangram's maps group heads by lukv's budgets, and this is a profile of {profile.kind}.")
    try:
        check_curve(profile.arrays)
    except ValueError as error:
        raise UserError(f"the profile cannot be exported: {error}; make another with `lukv-bench profile`.") from error
    kept = profile.arrays["curve"][TARGETS - grouping.kept_percent].float().numpy()
    groups = group_heads(kept, grouping.size, grouping.scope)
    arrays: dict[str, Any] = {
        "cluster_of": groups.group,
        "column_of": groups.column,
        "cluster_members": groups.members,
        "rank_score": kept,
        "page_group_size": np.int32(grouping.size),
        "base_ratio": np.float32(grouping.kept_percent / 100),
        "meta": _meta(profile, grouping, kept, waste := groups.waste(kept)),
    }
    write_whole(path, "--export-tangram", lambda place: _save(place, arrays))
    return (
        f"wrote {path}: {len(groups.members)} groups of {grouping.size} heads; {waste:.1%} of their pages stay empty "
        f"at {grouping.kept_percent}% kept"
    )


def _meta(profile: Profile, grouping: Grouping, kept: NDArray[np.floating], waste: float) -> NDArray[np.uint8]:
    """JSON as bytes. Tangram compares the model, the scope and the sizes where it looks a map up by itself."""
    n_layers, n_heads = kept.shape
    notes = {
        "source_model": profile.notes.get("model"),
        "source_profile": f"lukv-bench {profile_hash(profile)}",
        "scorer": profile.made.get("scorer"),
        "base_ratio": grouping.kept_percent / 100,
        "page_group_size": grouping.size,
        "num_layers": n_layers,
        "num_kv_heads": n_heads,
        "num_clusters": n_layers * n_heads // grouping.size,
        "cluster_scope": SCOPES[grouping.scope],
        "over_allocation": {"residual_waste_fraction": waste},
    }
    return np.frombuffer(json.dumps(notes).encode(), dtype=np.uint8)


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:  # given a path, NumPy would add a suffix
        np.savez(file, allow_pickle=False, **arrays)
