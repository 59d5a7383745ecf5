"""Counts requests and their events, for lm-eval's results."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..methods.events import Event
from ..record.configuration import RunProtocol
from .evictor import KEPT_WHOLE
from .feed import Feed


@dataclass
class Tally:
    """Counts over the requests that a model answered since it was loaded.

    Attributes:
        n_requests: All of them.
        n_evicted_whole: Those asked under the protocol agnostic whose document does not tell where the context ends,
            so that they were run as under aware.
        events: By event, the number of requests it was recorded on.
    """

    n_requests: int = 0
    n_evicted_whole: int = 0
    events: Counter[str] = field(default_factory=Counter)

    def add(self, events: Iterable[Event], feed: Feed | None = None, protocol: RunProtocol = "agnostic") -> None:
        """Count a request; an event that was recorded several times counts once."""
        self.n_requests += 1
        names = {str(event["event"]) for event in events}
        if feed is not None:
            self.n_evicted_whole += KEPT_WHOLE not in names and evicted_whole(feed, protocol)
            names |= {"truncated_middle"} if feed.n_cut else set()
        self.events.update(names)

    def absorb(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.n_requests += other.n_requests
        self.n_evicted_whole += other.n_evicted_whole
        self.events.update(other.events)

    def lines(self) -> Iterator[str]:
        """A sentence for each event, except truncation, which `answering.notes` reports."""
        for event, n in sorted(self.events.items()):
            if event == KEPT_WHOLE:
                yield (
                    f"{n} of {self.n_requests} requests have a context, or a last window, too short for the budget "
                    "(kept_whole: budget below the protected tokens); nothing of it was evicted."
                )
            elif event != "truncated_middle":
                yield f"the event {event} was recorded on {n} of {self.n_requests} requests."

    @property
    def facts(self) -> dict[str, Any]:
        """For a results file."""
        return {
            "requests": self.n_requests,
            "requests_evicted_whole": self.n_evicted_whole,
            "events": dict(sorted(self.events.items())),
        }


def evicted_whole(feed: Feed, protocol: RunProtocol) -> bool:
    """Whether a request is run as under aware although the protocol is agnostic; not with an empty context."""
    return protocol == "agnostic" and not feed.has_context_end and bool(feed.context)
