"""Tables of what was measured of an answer beside its score: its fidelity to the full cache, and its evidence."""

from typing import Any

from sqlalchemy import CheckConstraint, Double, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from .columns import Base, Name, VerbatimJson

OUTCOMES = ("found", "miscopied", "missed")
"""What became of an answer that stands in the context and is to be copied."""


class Fidelity(Base):
    """How the next tokens over an answer's cache differ from those over the full cache, given the same tokens before.

    Over the `n_tokens` tokens that the full cache's answer consists of, its EOS included: `kl_nats` is the mean of
    KL(full || evicted), `agreement` the share on which both choose the same token, `parted_at` the first on which they
    do not, counted from 0, null where there is none. `reference_nll` is the mean negative log-likelihood in nats of the
    reference's `n_reference_tokens` tokens, `full_reference_nll` the same over the full cache; null without a
    reference.
    """

    __tablename__ = "fidelity"
    __table_args__ = (
        CheckConstraint("n_tokens >= 1", name="n_tokens"),
        CheckConstraint("kl_nats >= 0", name="kl_nats"),
        CheckConstraint("agreement BETWEEN 0 AND 1", name="agreement"),
    )

    answer_id: Mapped[int] = mapped_column(
        ForeignKey("answer.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    n_tokens: Mapped[int]
    kl_nats: Mapped[float] = mapped_column(Double)
    agreement: Mapped[float] = mapped_column(Double)
    parted_at: Mapped[int | None]
    n_reference_tokens: Mapped[int | None]
    reference_nll: Mapped[float | None] = mapped_column(Double)
    full_reference_nll: Mapped[float | None] = mapped_column(Double)


class Evidence(Base):
    """What an answer's cache keeps of the tokens that the answer stands in, and whether the answer was copied.

    `kept_share` is the mean over layers and heads of the share of the `n_tokens` evidence tokens kept; `half_share` the
    share of (layer, head) that keep at least half of a span, mean over spans; `layer_shares` has a mean for each layer,
    null unless a run was told to keep it. `outcome` is one of OUTCOMES, null where the answer is not to be copied; of
    `n_characters` of the reference `n_right_characters` were copied right.
    """

    __tablename__ = "evidence"
    __table_args__ = (
        CheckConstraint("kept_share BETWEEN 0 AND 1", name="kept_share"),
        CheckConstraint("half_share BETWEEN 0 AND 1", name="half_share"),
        CheckConstraint("outcome IN ('found', 'miscopied', 'missed')", name="outcome"),
    )

    answer_id: Mapped[int] = mapped_column(
        ForeignKey("answer.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    n_tokens: Mapped[int]
    kept_share: Mapped[float | None] = mapped_column(Double)
    half_share: Mapped[float | None] = mapped_column(Double)
    layer_shares: Mapped[Any] = mapped_column(VerbatimJson, nullable=True, default=None)
    outcome: Mapped[Name | None]
    n_right_characters: Mapped[int | None]
    n_characters: Mapped[int | None]
