"""Tables that can be made anew from the others, for readers in a hurry; `db.summaries` writes them.

Triggers delete a summary with any change of what it was made from, whoever makes it (see migration 0005).
"""

from typing import Any

from sqlalchemy import Double, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Address, AnyText, Base, Hash, VerbatimJson


class SampleList(Base):
    """Samples by their ids, in the order of the scores of the summaries that refer to it. Equal lists are one row.

    `id` is made of the list, see `db.shared_rows`.
    """

    __tablename__ = "sample_list"

    id: Mapped[Address] = mapped_column(primary_key=True, autoincrement=False)
    samples: Mapped[Any] = mapped_column(VerbatimJson, nullable=False)


class CellSummary(Base):
    """What the answers of a complete cell amount to; its columns are those of `db.totals.totals`.

    `kept_hash` depends on the samples and on what was kept of each; null where that is not known. Counts and means of
    fidelity and evidence are over the answers that have some. Seconds are those of one `machine`, see
    `db.results.read_results`. `events` says on how many answers each was recorded. `scores` packs a float64 in [0, 1]
    for each of the cell's scored answers, in the order of its samples.
    """

    __tablename__ = "cell_summary"

    cell_id: Mapped[Hash] = mapped_column(ForeignKey("cell.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int]
    n_failed: Mapped[int]
    n_covered: Mapped[int]
    n_timed: Mapped[int]
    answer_error: Mapped[str | None] = mapped_column(AnyText)
    machine: Mapped[str | None] = mapped_column(AnyText)
    environment: Mapped[Hash | None]
    kv_tokens_full: Mapped[float | None] = mapped_column(Double)
    kv_tokens_kept: Mapped[float | None] = mapped_column(Double)
    kv_bytes_full: Mapped[float | None] = mapped_column(Double)
    kv_bytes_kept: Mapped[float | None] = mapped_column(Double)
    ttft_s: Mapped[float | None] = mapped_column(Double)
    tpot_s: Mapped[float | None] = mapped_column(Double)
    prefill_s: Mapped[float | None] = mapped_column(Double)
    evict_s: Mapped[float | None] = mapped_column(Double)
    events: Mapped[Any] = mapped_column(VerbatimJson, nullable=False)
    kept_hash: Mapped[Hash | None]
    kl_nats: Mapped[float | None] = mapped_column(Double)
    agreement: Mapped[float | None] = mapped_column(Double)
    reference_nll: Mapped[float | None] = mapped_column(Double)
    full_reference_nll: Mapped[float | None] = mapped_column(Double)
    evidence_kept_share: Mapped[float | None] = mapped_column(Double)
    evidence_half_share: Mapped[float | None] = mapped_column(Double)
    n_fidelity: Mapped[int] = mapped_column(server_default="0")
    n_evidence: Mapped[int] = mapped_column(server_default="0")
    n_found: Mapped[int] = mapped_column(server_default="0")
    n_miscopied: Mapped[int] = mapped_column(server_default="0")
    n_missed: Mapped[int] = mapped_column(server_default="0")
    sample_list_id: Mapped[Address] = mapped_column(ForeignKey("sample_list.id"))
    scores: Mapped[bytes] = mapped_column(LargeBinary)
