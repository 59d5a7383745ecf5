"""What the answers of each cell amount to: counts, means, events, and the seconds of one machine."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Select, Subquery, Text, and_, case, cast, func, select

from .measure_tables import OUTCOMES
from .portions import read_rows
from .readable import parsed
from .schema import Answer, Cell, Environment, Evidence, Fidelity, Run, Sample, Timing
from .standing import DONE, n_covered, n_done, n_failed

MEANS = {
    "kv_tokens_full": Answer.kv_tokens_full,
    "kv_tokens_kept": Answer.kv_tokens_kept,
    "kv_bytes_full": Answer.kv_bytes_full,
    "kv_bytes_kept": Answer.kv_bytes_kept,
}
MEASURES = {
    "kl_nats": Fidelity.kl_nats,
    "agreement": Fidelity.agreement,
    "reference_nll": Fidelity.reference_nll,
    "full_reference_nll": Fidelity.full_reference_nll,
    "evidence_kept_share": Evidence.kept_share,
    "evidence_half_share": Evidence.half_share,
}
COUNTS = {
    "n_fidelity": Fidelity.answer_id,
    "n_evidence": Evidence.answer_id,
    **{f"n_{outcome}": case((Evidence.outcome == outcome, Evidence.answer_id)) for outcome in OUTCOMES},
}
"""On how many done answers each is not null."""
SECONDS = {
    "ttft_s": Timing.ttft_s,
    "tpot_s": Timing.tpot_s,
    "prefill_s": Timing.prefill_s,
    "evict_s": Timing.evict_s,
}
_MACHINE = func.coalesce(Environment.machine, Environment.id)
"""One that another program left without a name is known by its environment."""
_TIMED = and_(DONE, Timing.answer_id.is_not(None))


def read_totals(connection: Connection, cells: Sequence[str]) -> list[dict[str, Any]]:
    """What the answers of each cell amount to, no more cells than one statement may name.

    - `cell_id` and `samples_asked`; counts `n` (done), `n_failed`, `n_covered`; `answer_error`, a failed one's reason;
    - MEANS over done answers, MEASURES over those that have them, COUNTS of these;
    - SECONDS over those that `machine` timed, `n_timed` of them, in one `environment` or null;
    - `kept_hash` of a cell whose answers are all done, which depends on its samples and what was kept of each, or null;
    - `events`: on how many done answers each event was recorded; `broken_events`: a sentence where some cannot be read.

    A cell without answers has counts of 0.
    """
    summed = _totals(cells)
    query = select(Cell.id.label("cell_id"), Cell.samples_asked, *(each for each in summed.c if each.name != "cell_id"))
    query = query.outerjoin(summed, summed.c.cell_id == Cell.id).where(Cell.id.in_(cells))
    rows = [dict(row) for row in connection.execute(query).mappings()]
    several = [row["cell_id"] for row in rows if row["machine"] != row["other_machine"]]
    seconds = _read_seconds(connection, several) if several else {}
    events, broken = _read_events(connection, cells)
    kept = _read_kept(connection, cells)
    for row in rows:
        cell = row["cell_id"]
        row |= seconds.get(cell, {})
        row |= {name: row[name] or 0 for name in ("n", "n_failed", "n_covered", "n_timed", *COUNTS)}
        row |= {"events": dict(sorted(events.get(cell, {}).items())), "broken_events": broken.get(cell)}
        row["kept_hash"] = kept.get(cell) if row["n"] == row["samples_asked"] else None
    return rows


def _totals(cells: Sequence[str]) -> Subquery:
    """Counts and means of those cells that have answers; the seconds of one are good where one machine timed it."""
    timed_on = case((_TIMED, _MACHINE))
    timed_in = case((_TIMED, Environment.id))
    return (
        select(
            Answer.cell_id,
            n_done().label("n"),
            n_failed().label("n_failed"),
            n_covered().label("n_covered"),
            func.min(Answer.error).label("answer_error"),
            func.count(timed_on).label("n_timed"),
            func.min(timed_on).label("machine"),
            func.max(timed_on).label("other_machine"),
            _only(timed_in).label("environment"),
            *_means(MEANS | SECONDS | MEASURES),
            *(func.count(case((DONE, column))).label(name) for name, column in COUNTS.items()),
        )
        .join(Sample, Sample.id == Answer.sample_id)
        .join(Cell, Cell.id == Answer.cell_id)
        .outerjoin(Run, Run.id == Answer.run_id)
        .outerjoin(Environment, Environment.id == Run.environment_id)
        .outerjoin(Timing, Timing.answer_id == Answer.id)
        .outerjoin(Fidelity, Fidelity.answer_id == Answer.id)
        .outerjoin(Evidence, Evidence.answer_id == Answer.id)
        .where(Answer.cell_id.in_(cells))
        .group_by(Answer.cell_id)
        .subquery()
    )


def _read_seconds(connection: Connection, cells: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By cell the machine that timed most of its answers (of two, the first by name), how many, and its means.

    Seconds of different machines have no common mean.
    """
    query = (
        select(
            Answer.cell_id,
            _MACHINE.label("machine"),
            _only(Environment.id).label("environment"),
            func.count().label("n_timed"),
            *_means(SECONDS),
        )
        .join(Timing, Timing.answer_id == Answer.id)
        .join(Run, Run.id == Answer.run_id)
        .join(Environment, Environment.id == Run.environment_id)
        .where(DONE)
        .group_by(Answer.cell_id, _MACHINE)
        .order_by(func.count(), _MACHINE.desc())  # the last one of a cell stays
    )
    names = ("machine", "environment", "n_timed", *SECONDS)
    return {
        row["cell_id"]: {name: row[name] for name in names}
        for row in connection.execute(query.where(Answer.cell_id.in_(cells))).mappings()
    }


def _read_events(connection: Connection, cells: Sequence[str]) -> tuple[dict[str, Counter[str]], dict[str, str]]:
    """By cell on how many done answers each event was recorded, and a sentence where an answer's are unreadable."""
    text = cast(Answer.events, Text)
    query = select(Answer.cell_id, Answer.id, text).where(DONE, text != "[]")
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    broken: dict[str, str] = {}
    names_in: dict[str, set[str] | None] = {}  # most answers record what others recorded, too
    for cell, answer, events in read_rows(connection, query.where(Answer.cell_id.in_(cells))):
        if events not in names_in:
            names_in[events] = _event_names(events)
        names = names_in[events]
        if names is None:
            broken[cell] = f'"events" of row {answer} in table "answer" is not a JSON list of events'
        else:
            counts[cell].update(names)
    return counts, broken


def _read_kept(connection: Connection, cells: Sequence[str]) -> dict[str, str]:
    """By cell a hash of its samples and of what was kept of each; cells with an answer that lacks it are left out."""
    kept: defaultdict[str, list[str | None]] = defaultdict(list)
    query = select(Answer.cell_id, Answer.sample_id, Answer.kept_hash).where(DONE, Answer.cell_id.in_(cells))
    for cell, sample, kept_hash in read_rows(connection, query.order_by(Answer.cell_id, Answer.sample_id)):
        kept[cell] += [sample, kept_hash]
    return {cell: _hash(texts) for cell, texts in kept.items() if None not in texts}


def _hash(texts: Sequence[str | None]) -> str:
    return sha256("\0".join(map(str, texts)).encode()).hexdigest()


def of_cells(query: Any, column: Any, cells: Sequence[str] | None) -> Select[Any]:
    """The query over some cells, no more than one statement may name; None = over all."""
    selected: Select[Any] = query
    return selected if cells is None else selected.where(column.in_(cells))


def _means(columns: Mapping[str, Any]) -> list[ColumnElement[float]]:
    """Over done answers; PostgreSQL's mean of whole numbers would be a Decimal."""
    return [cast(func.avg(case((DONE, column))), Double).label(name) for name, column in columns.items()]


def _only(column: ColumnElement[str] | Any) -> ColumnElement[str | None]:
    """The one value of a group; null where there are several."""
    return case((func.min(column) == func.max(column), func.min(column)))


def _event_names(text: str) -> set[str] | None:
    """None for what is no list of events."""
    try:
        return {str(event["event"]) for event in parsed(text)}
    except (TypeError, KeyError):
        return None
