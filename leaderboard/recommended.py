"""What the results on the chosen tasks recommend; what is read of them is read once for every state of the database."""

from dataclasses import replace

from ..db.cache_sizes import CacheSizes
from ..db.frames.cache_sizes import StoredSizes, read_cache_sizes
from ..db.need import Need
from ..db.queries import to_records
from ..db.recommendation import Candidates, Group, candidates, read_groups
from .view import View


def sizes_of(view: View) -> StoredSizes | str:
    """The sizes of the cache of the setting's model, or why the record does not tell them."""
    return view.record.read(read_cache_sizes, view.setting)


def recommended(view: View, sizes: CacheSizes, need: Need) -> list[Candidates]:
    """What `lukv-bench recommend` says of the setting and the chosen tasks, with the site's short names of methods.

    Filters of methods and budgets hide rows, and change no standing.
    """
    groups = view.record.derive(_read_groups, view.setting, view.places, inputs=(view,))
    found = view.record.derive(_candidates, view.setting, view.places, need, inputs=(groups, sizes, need))
    shown = frozenset(view.shown)
    return [_named(group, each, shown) for group, each in zip(groups, found, strict=True)]


def _read_groups(view: View) -> list[Group]:
    rows = to_records(view.pool)
    return read_groups(view.record.reader, [row for row in rows if row["status"] != "unreadable"])


def _candidates(groups: list[Group], sizes: CacheSizes, need: Need) -> list[Candidates]:
    return [candidates(group, sizes, need) for group in groups]


def _named(group: Group, found: Candidates, shown: frozenset[str]) -> Candidates:
    rows = [
        row | {"method": group.sources[row["configuration"]]["method"]}
        for row in found.rows
        if row["configuration"] in shown
    ]
    return replace(found, rows=rows)
