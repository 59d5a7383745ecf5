"""Checks on a short text that a model has what scorers read, before anything is made or written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ... import UserError
from ...scorers.base import LayerView, Protection, Reads
from ..errors import ViewError, reason_of
from ..models.load import LoadedModel
from ..plugins.contract import Kind
from .prefill import prefill
from .views import watches

N_TOKENS = 12
VERBS: Mapping[Kind, str] = {"scorer": "rank", "allocator": "measure"}


@dataclass(frozen=True)
class _Probe:
    """Reads what a scorer reads, and ranks nothing."""

    reads: Reads
    source: ClassVar[str] = ""
    protection: ClassVar[Protection] = Protection(sink=0, window=0)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T] of zeros."""
        return torch.zeros(layer.keys.shape[:3], device=layer.keys.device)


def check_reads(loaded: LoadedModel, plugins: Mapping[str, Reads], kind: Kind = "scorer") -> None:
    """Refuse plugins that read what the model does not have, by running them on a short text.

    Args:
        loaded: The model, switched to store attention.
        plugins: By label what each reads.
        kind: What they are.

    Raises:
        UserError: something is missing; it names the plugin and the model.
    """
    probes = {
        label: _Probe(replace(reads, future=False, replay=False))  # not known during a pass
        for label, reads in plugins.items()
        if watches(reads) or reads.output_weight
    }
    if not probes:
        return
    size = loaded.model.config.get_text_config(decoder=True).vocab_size
    ids = [(1009 + 997 * i) % size for i in range(min(N_TOKENS, loaded.reach))]
    failures = prefill(loaded, ids, probes, n_kept=dict.fromkeys(probes, 1)).failures
    for label, error in failures.items():
        reason = str(error) if isinstance(error, ViewError) else f"its own code fails ({reason_of(error)})"
        raise UserError(
            f"the {kind} {label} cannot {VERBS[kind]} for {loaded.name}: {reason}; choose another --{kind}."
        )
