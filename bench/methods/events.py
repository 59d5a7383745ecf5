"""Events: special cases and deviations that are stored with an answer."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...allocators.base import Note, NoteError
from ..errors import message_of, one_line
from ..models.load import DTYPES, LoadedModel
from .estimate import CacheShape
from .method import Method

Event = Mapping[str, Any]
"""A JSON object whose key "event" names what happened."""

SHARED_CONTEXT = "shared_context"
"""The event of an answer that was decoded over the full context with a mask, since that was measured to be quicker; the
bytes are those of its ragged cache."""

SOME_LAYERS = "some_layers_evicted"
"""The event of an answer of a model that has layers which are not evicted, such as those with a sliding window. Counts
and slots are those of the evicted `layers` alone; the answer's bytes include the windows', `window_kv_bytes`."""

NO_FIDELITY = "no_fidelity"
"""The event of an answer that was not compared with the full cache's, which failed."""

STATES = "recurrent_states"
"""The event of an answer of a model that has `layers` with a recurrent state, such as linear attention, in place of or
beside attention. No state is evicted; the answer's bytes include theirs, `state_bytes`. Nothing is drafted."""


def harness_events(method: Method, loaded: LoadedModel, n_tokens: int) -> list[Event]:
    """Events for layers that are not evicted, recurrent states, a budget larger than the context and profiles made with
    another protection."""
    shape, events = loaded.shape, list[Event]()
    if shape.kept_whole:
        n_bytes = CacheShape(shape, DTYPES[loaded.dtype].itemsize).window_bytes(n_tokens)
        sizes = {"layers": list(shape.evicted), "n_layers": len(shape.layers), "window_kv_bytes": n_bytes}
        events.append({"event": SOME_LAYERS, **sizes})
    if shape.stateful:
        events.append({"event": STATES, "layers": list(shape.stateful), "state_bytes": shape.state_bytes})
    if method.budget.keeps_all(n_tokens):
        events.append({"event": "kept_all", "keep_tokens": method.budget.keep_tokens, "n_tokens": n_tokens})
    protection = (method.protection.sink, method.protection.window)
    owners = method.owners()
    for path, profile in method.profiles.items():
        if not owners[path].calibration.protected:
            continue
        sink, window = profile.made.get("sink"), profile.made.get("window")
        if (sink, window) != protection:
            plugin = {} if path == "allocator" else {"plugin": path}
            events.append({"event": "profile_of_another_protection", "sink": sink, "window": window, **plugin})
    return events


def allocator_events(notes: Iterable[Note]) -> list[Event]:
    """An allocator's notes as plain JSON objects.

    Raises:
        NoteError: they are not JSON objects with an event.
    """
    try:
        plain: list[Event] = [
            dict(note) for note in json.loads(json.dumps([dict(note) for note in notes], allow_nan=False))
        ]
    except Exception as error:  # a plugin's mapping may raise anything
        raise NoteError(f"the allocator's notes are not JSON objects ({message_of(error)})") from error
    nameless = [note for note in plain if not isinstance(note.get("event"), str)]
    if nameless:
        raise NoteError(f"a note of the allocator has no event name: {one_line(str(nameless[0]))}")
    return plain
