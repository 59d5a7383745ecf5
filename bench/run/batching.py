"""How many configurations of a sample decode together: as many as were asked for, or as many as memory holds."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ..engine.drafts import FIRST
from ..engine.fidelity import compared_bytes
from ..models.load import DTYPES, LoadedModel
from ..models.memory import free_memory
from .unit import Unit, UnitConfiguration

SHARE = 0.5
"""Of the memory that is free on a device, what a batch may take unless told otherwise."""


@dataclass(frozen=True)
class Batching:
    """How the configurations of a sample decode.

    Attributes:
        most: The most that decode together; None = as many as memory holds. One by one, decoding is timed.
        drafts: Whether answers are drafted from others to the sample, the prompt and themselves. Then decoding is not
            timed.
        fidelity: Whether answers are compared with the full cache's, which needs drafts; None = where configurations of
            a sample share its context.
        max_memory: Bytes that batches may take on a device where `most` is None; None = half of what is free there.
        n_sharing: Workers that share each device, and its memory.
    """

    most: int | None = 1
    drafts: bool = False
    fidelity: bool | None = None
    max_memory: int | None = None
    n_sharing: int = 1

    def shares_context(self, configurations: Sequence[UnitConfiguration]) -> bool:
        """Whether a context is held in memory for some configurations; else each evicts while it is read."""
        n, has_oracle = len(configurations), any(one.method.is_oracle for one in configurations)
        return n > 1 or has_oracle or (bool(self.fidelity) and n == 1)

    def limit(self, device: torch.device, held_bytes: int = 0) -> int:
        """Bytes that a batch may take on a device, beside those that are held there already: they are not free."""
        if self.max_memory is None:
            return int(SHARE * free_memory(device)) // self.n_sharing
        return self.max_memory // self.n_sharing - held_bytes


@dataclass(frozen=True)
class Held:
    """What the batches of a sample have in memory before they decode.

    Attributes:
        bytes_on: By device.
        configurations: Those whose selections are among it.
    """

    bytes_on: Mapping[torch.device, int] = field(default_factory=dict)
    configurations: Collection[str] = ()


NOTHING = Held()


def n_fitting(
    loaded: LoadedModel,
    unit: Unit,
    waiting: Sequence[UnitConfiguration],
    batching: Batching,
    n_draft: int | None = None,
    held: Held = NOTHING,
) -> int:
    """How many of the first configurations fit together into the memory of every device, at least one.

    Args:
        loaded: The model.
        unit: A sample.
        waiting: Its configurations that have not decoded.
        batching: How they do.
        n_draft: The tokens of their first draft, where answers are compared with the full cache's: it is that answer.
        held: What is in memory before.
    """
    layers = Counter(loaded.layer_devices)
    limits = {device: batching.limit(device, held.bytes_on.get(device, 0)) for device in layers}
    activations, layer = _activation_bytes(loaded, unit, n_draft), 0
    compared = 0 if n_draft is None else compared_bytes(n_draft + 1, _n_vocabulary(loaded))
    for n, configuration in enumerate(waiting):
        layer += _layer_bytes(loaded, unit, configuration, is_held=configuration.id in held.configurations)
        rows = compared + (n + 1) * activations
        if any(layer * layers[device] + rows > limit for device, limit in limits.items()):
            return max(n, 1)
    return len(waiting)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch's CPU allocator raises a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _layer_bytes(loaded: LoadedModel, unit: Unit, configuration: UnitConfiguration, *, is_held: bool) -> int:
    """Keys, values and selection of what a configuration keeps in one layer on average, and its room. A selection that
    is held is counted there."""
    shape, n_context = loaded.shape, len(unit.context)
    kept, room = configuration.method.budget.per_head(n_context), unit.n_sequence - n_context
    itemsize = DTYPES[loaded.dtype].itemsize
    per_slot = 2 * shape.head_dim * itemsize
    selection = 0 if is_held else kept * torch.int64.itemsize + n_context  # positions and mask
    fed = room * shape.numbers_per_fed * itemsize // shape.n_layers  # other layers keep what is fed, too
    return shape.n_kv_heads * (kept * per_slot + selection) + fed + shape.state_bytes // shape.n_layers


def _activation_bytes(loaded: LoadedModel, unit: Unit, n_draft: int | None) -> int:
    """What a row's first pass takes at its peak: the logits after each drafted token, and one layer."""
    config, itemsize = loaded.model.config.get_text_config(decoder=True), DTYPES[loaded.dtype].itemsize
    first = min(FIRST, unit.stop.max_new_tokens) if n_draft is None else max(n_draft, len(unit.reference))
    n_places = 1 + max(first, unit.stop.max_new_tokens // 2)
    n_fed = len(unit.question) + n_places
    logits = n_places * _n_vocabulary(loaded) * (itemsize + 2 * torch.float32.itemsize)
    hidden = n_fed * (8 * config.hidden_size + 3 * getattr(config, "intermediate_size", 4 * config.hidden_size))
    weights = loaded.shape.n_query_heads * n_fed * (len(unit.context) + n_fed) * 2 * torch.float32.itemsize
    return int(logits + hidden * itemsize + weights)


def _n_vocabulary(loaded: LoadedModel) -> int:
    n: int = loaded.model.config.get_text_config(decoder=True).vocab_size
    return n
