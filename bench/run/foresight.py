"""The future of a context, which oracles read: another for each question, made when the first oracle asks for it."""

from dataclasses import dataclass, field
from functools import partial

from ..engine.context import Context
from ..engine.future import Future, read_future
from ..engine.importance import SeenLayers
from ..engine.prefill import context_seed
from ..models.load import LoadedModel
from .attempts import attempt
from .unit import Unit


@dataclass
class Foresight:
    """The future of a context for the question at hand.

    Attributes:
        loaded: The model.
        context: Held in memory.
        seen: Its layers, as they were read.
    """

    loaded: LoadedModel
    context: Context
    seen: SeenLayers
    _sample: str = field(default="", init=False)
    _future: Future | Exception | None = field(default=None, init=False)

    def of(self, unit: Unit) -> Future:
        """That of a unit's sample; raises what reading it raised, each time."""
        if self._future is None or self._sample != unit.sample_id:
            seed = context_seed(unit.seed, unit.context)
            read = partial(read_future, self.loaded, self.context, self.seen, unit.question, unit.reference, seed)
            self._sample, self._future = unit.sample_id, attempt(read)
        if isinstance(self._future, Exception):
            raise self._future
        return self._future
