"""Answers requests context by context, and collects their events."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..engine.rotary import shortest_alike
from ..methods.events import Event
from ..record.configuration import RunProtocol
from ..reports.progress import progress
from .evictor import Evictor, Reading
from .feed import Feed
from .tally import evicted_whole


class Answered(NamedTuple):
    """The answer to a request.

    Attributes:
        value: A text, or a likelihood.
        events: Events of the generation; those of the reading are added.
    """

    value: Any
    events: Sequence[Event] = ()


def answer_all(
    evictor: Evictor,
    doing: str,
    feeds: Sequence[Feed],
    answer: Callable[[Reading, int], Answered],
    record: Callable[[Sequence[Event], int], None],
) -> list[Any]:
    """An answer for each feed, in order. A context is read once for all its requests, or once for each rotation that
    the lengths of their sequences need.

    Args:
        evictor: Reads and evicts.
        doing: For the progress shown.
        feeds: What is fed.
        answer: Called with a reading of feed number n's context and n.
        record: Called with the events of feed number n and n, once it is answered.
    """
    answers: list[Any] = [None] * len(feeds)
    done = 0
    with progress() as shown:
        for numbers in _readable_together(evictor, feeds):
            context = feeds[numbers[0]].context
            shown.report(f"{doing}: reading a context of {len(context)} tokens", done, len(feeds))
            reading = evictor.read(context, max(feeds[number].n_sequence for number in numbers))
            for number in numbers:
                answered = answer(reading, number)
                answers[number] = answered.value
                record((*reading.events, *answered.events), number)
                done += 1
                shown.report(doing, done, len(feeds))
    return answers


def notes(evictor: Evictor, feeds: Sequence[Feed], protocol: RunProtocol) -> Iterator[str]:
    """Sentences on prompts that were cut or evicted otherwise than the protocol says."""
    evicted = [feed for feed in feeds if evicted_whole(feed, protocol)]
    if whole := sum(not evictor.keeps_whole(len(feed.context)) for feed in evicted):
        yield (
            f"{whole} of {len(feeds)} requests do not show where their context ends; their whole prompt but its last "
            "token is evicted (protocol aware)."
        )
    if cut := [feed.n_cut for feed in feeds if feed.n_cut]:
        yield (
            f"{len(cut)} of {len(feeds)} prompts were too long; up to {max(cut)} tokens were cut out of the middle of "
            "their contexts."
        )


def _readable_together(evictor: Evictor, feeds: Sequence[Feed]) -> list[list[int]]:
    """The numbers of the feeds grouped by context and by rotation."""
    groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for number, feed in enumerate(feeds):
        alike = shortest_alike(evictor.loaded.model, feed.n_sequence)
        groups.setdefault((feed.context, alike), []).append(number)
    return list(groups.values())
