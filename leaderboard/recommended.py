"""What the results on the chosen tasks recommend; what is read of them is read once for every state of the database."""

from dataclasses import replace
from typing import NamedTuple

from ..db.cache_sizes import CacheSizes
from ..db.frames.cache_sizes import StoredSizes, read_cache_sizes
from ..db.need import Need
from ..db.queries import to_records
from ..db.recommendation import Candidates, Group, candidates, read_groups
from .view import View


def sizes_of(view: View) -> StoredSizes | str:
    """The sizes of the cache of the setting's model, or why the record does not tell them."""
    return view.record.read(read_cache_sizes, view.setting)


class Shown(NamedTuple):
    """What a page shows of a recommendation.

    Attributes:
        found: With the rows that the filters left, and the site's short names of methods.
        n_hidden: Candidates that fit and are hidden by the filters.
    """

    found: Candidates
    n_hidden: int


def recommended(view: View, sizes: CacheSizes, need: Need) -> list[Shown]:
    """What `lukv-bench recommend` says of the setting and the chosen tasks.

    Filters of methods and budgets hide rows, and change no standing.
    """
    groups = view.record.derive(_read_groups, view.setting, view.places, inputs=(view,))
    found = view.record.derive(_candidates, view.setting, view.places, need, inputs=(groups, sizes, need))
    shown = frozenset(view.shown)
    return [_shown(group, each, shown) for group, each in zip(groups, found, strict=True)]


def _read_groups(view: View) -> list[Group]:
    rows = to_records(view.pool)
    return read_groups(view.record.reader, [row for row in rows if row["status"] != "unreadable"])


def _candidates(groups: list[Group], sizes: CacheSizes, need: Need) -> list[Candidates]:
    return [candidates(group, sizes, need) for group in groups]


def _shown(group: Group, found: Candidates, shown: frozenset[str]) -> Shown:
    rows = [
        row | {"method": group.sources[row["configuration"]]["method"]}
        for row in found.rows
        if row["configuration"] in shown
    ]
    return Shown(replace(found, rows=rows), len(found.rows) - len(rows))
