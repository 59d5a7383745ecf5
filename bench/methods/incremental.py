"""Which methods can evict block by block, and on which models."""

from collections.abc import Iterator, Sequence

from ... import UserError
from ...allocators.base import Needs
from ...scorers.base import Reads
from .method import Method
from .schedule import DEFAULT_SCHEDULE


def check_schedules(methods: Sequence[Method]) -> None:
    """Refuse methods that cannot evict by their schedule, before a model is loaded.

    Raises:
        UserError: an allocator needs scores, or a scorer has no incremental form.
    """
    for method in methods:
        if method.schedule.block is None or method.scorer is None:
            continue
        needs, scorer = method.allocator.instance.needs, method.scorer
        if needs is not Needs.NOTHING:
            raise UserError(
                f"the allocator {method.allocator.label} needs {needs.value}, and with --schedule {method.schedule} it "
                f"is asked before there are any; use --schedule {DEFAULT_SCHEDULE} or another allocator."
            )
        for what in _not_held(scorer.instance.reads, method.schedule.block, has_profile=bool(scorer.owners("scorer"))):
            raise UserError(
                f"the scorer {scorer.label} reads {what}, which --schedule {method.schedule} does not have; use "
                f"--schedule {DEFAULT_SCHEDULE} or another scorer."
            )


def _not_held(reads: Reads, block: int, *, has_profile: bool) -> Iterator[str]:
    """What a scorer reads that is not at hand after a block, in words."""
    if reads.queries == "all":
        yield "the queries of the whole context"
    elif reads.queries > block:
        yield f"the last {reads.queries} queries"
    if reads.queries_before_rotary:
        yield "queries before the rotary embedding"
    if reads.hidden_states:
        yield "hidden states"
    if reads.rotary:
        yield "the rotary embedding of other positions"
    if reads.module:
        yield "the attention module"
    if reads.future:
        yield "the future"
    if reads.all_heads:
        yield "all heads of a layer at once"
    if reads.replay:
        yield "a replay of the whole context"
    if has_profile:
        yield "a profile of whole layers"
