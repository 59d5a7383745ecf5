"""Which methods read the future, and where they cannot be served: outside a run, a context has none."""

from collections.abc import Sequence

from ... import UserError
from ...scorers.base import Reads
from .method import Method


def refuse_oracles(methods: Sequence[Method]) -> None:
    """Refuse methods that read the future, where no reference answer is fed.

    Raises:
        UserError: one does.
    """
    for method in methods:
        if method.is_oracle:
            raise UserError(
                f"{method.label} is an oracle: it reads what the reference answer will attend to, which only `run` "
                "feeds; name a method that a cache could use."
            )


def check_oracles(methods: Sequence[Method], *, measured: bool) -> None:
    """Refuse oracles that a run cannot serve, before a model is loaded.

    Args:
        methods: Of the run.
        measured: Whether costs are measured.

    Raises:
        UserError: costs are, or a profile would be fitted to the scores of one.
    """
    for method in methods:
        if measured and method.is_oracle:
            raise UserError(
                f"{method.label} is an oracle: it reads what the reference answer will attend to, and such a cache has "
                "no cost; leave it out of --cost."
            )
        if "scorer" in method.reading_future:
            for owner in method.allocator.owners("allocator").values():
                if method.scorer is not None and owner.calibration.scores:
                    raise UserError(
                        f"the profile of {owner.label} is fitted to its scorer's scores, and {method.scorer.label} "
                        "has none without a reference answer; use --allocator oracle or uniform with it."
                    )


def needed_reads(method: Method) -> Reads:
    """What a method's scorer reads, and what its future is measured with."""
    reads: Reads = Reads() if method.scorer is None else method.scorer.instance.reads
    return reads | Reads(output_weight=True) if method.is_oracle else reads
