"""What the configurations of a unit keep of a context, each chosen once for all samples on it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..engine.context import Context
from ..methods.selection import Selection
from .foresight import Foresight
from .unit import UnitConfiguration

Choice = Selection | Exception
"""What a configuration keeps, or why it could not choose."""


@dataclass(frozen=True)
class Choices:
    """A context held in memory, and what was chosen of it so far.

    Attributes:
        context: With the score tables of the configurations that are still to choose.
        foresight: The future of the context, for oracles.
        configurations: All that choose.
        held: By configuration what it keeps, for the samples that are still to come.
        decided: The configurations that have chosen.
    """

    context: Context
    foresight: Foresight
    configurations: Sequence[UnitConfiguration]
    held: dict[str, Choice] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)

    def of(self, one: UnitConfiguration, choose: Callable[[], Choice], *, is_last: bool) -> Choice:
        """What a configuration keeps; it chooses if it has not yet, and an oracle for each sample. After the last
        sample nothing is held."""
        if one.method.is_oracle:
            if is_last:
                self.decided.add(one.id)
            return choose()
        choice = self.held.pop(one.id) if one.id in self.held else choose()
        self.decided.add(one.id)
        if not is_last:
            self.held[one.id] = choice
        return choice

    def held_bytes(self) -> Counter[torch.device]:
        """Bytes of the selections that are held, by device."""
        layers = (layer for one in self.held.values() if isinstance(one, Selection) for layer in one.kept)
        held: Counter[torch.device] = Counter()
        for layer in layers:
            for tensor in (layer.mask, layer.positions, layer.offsets):
                held[tensor.device] += tensor.nbytes
        return held

    def drop_tables(self) -> None:
        """Release the tables that no configuration needs any more."""
        self.context.drop_tables(
            {name for one in self.configurations if one.id not in self.decided for name in one.method.tables}
        )
