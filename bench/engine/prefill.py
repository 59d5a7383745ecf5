"""Feed a context once under full attention; take what scorers need while each layer is at hand."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ...scorers.base import Scorer
from ..errors import without_frames
from ..models.load import LoadedModel
from .cache import PrefillLayer, PrefillObserver
from .clock import now
from .rotary import rotating_for
from .views import LayerAtHand, LayerInputs, watches


@dataclass(frozen=True)
class Context:
    """A context's full cache and its score tables.

    Attributes:
        keys: Per layer [1, H, T, D].
        values: Per layer [1, H, T, D].
        scores: Per table name float32 [L, 1, H, T].
        failures: Per table name why there is none.
        prefill_s: Wall seconds of the forward pass, scoring left out.
        score_s: Per table its wall seconds over all layers.
        n_sequence: Tokens of the whole sequence that it is rotated for.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    scores: Mapping[str, Tensor]
    failures: Mapping[str, Exception]
    prefill_s: float
    score_s: Mapping[str, float]
    n_sequence: int

    def table(self, name: str) -> Tensor:
        """A table, float32 [L, 1, H, T]; raises what its scorer raised."""
        if name in self.failures:
            raise self.failures[name]
        return self.scores[name]

    @property
    def n_tokens(self) -> int:
        """T."""
        return self.keys[0].shape[2]

    @property
    def kv_bytes(self) -> int:
        """Bytes of the full cache, read off the tensors."""
        return sum(layer.nbytes for layer in (*self.keys, *self.values))


@torch.inference_mode()
def prefill(
    loaded: LoadedModel,
    ids: Sequence[int],
    scorers: Mapping[str, Scorer],
    observers: Sequence[PrefillObserver] = (),
    *,
    n_kept: Mapping[str, int] | None = None,
    seed: int = 0,
    n_sequence: int | None = None,
) -> Context:
    """Run the context through the model once.

    Args:
        loaded: The model, switched to store attention.
        ids: Token ids of the context, at least one.
        scorers: By the name their tables get; a scorer that reads the budget has a table for each.
        observers: Shown every layer while it is at hand.
        n_kept: By the name of the table the tokens that its budget keeps in each head on average; needed where the
            scorer reads the budget.
        seed: The run's seed.
        n_sequence: Tokens of the whole sequence that the context begins, its answer included; None = the context's.
    """
    tables: dict[str, list[Tensor]] = {name: [] for name in scorers}
    failures: dict[str, Exception] = {}
    score_s = dict.fromkeys(scorers, 0.0)
    inputs = LayerInputs()
    drawn = context_seed(seed, ids)

    def observe(index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor) -> None:
        layer = LayerAtHand(loaded.model, index, module, query, keys, values, inputs.kwargs)
        cache: _Guarded | None = None
        for name, scorer in scorers.items():
            if name in failures:
                continue
            began = now(loaded.device)
            cache = cache or _Guarded(keys, values)  # part of what scoring costs, and of no prefill without scorers
            try:
                view = layer.view(scorer.reads, (n_kept or {}).get(name), drawn)
                tables[name].append(_checked(scorer.score(view), keys))
            except (Exception, SystemExit) as error:  # a stranger's scorer may raise anything; the others go on
                failures[name] = without_frames(error)
            if cache.restored():
                failures[name] = ScoreError("it writes into the cache that it is shown")
            score_s[name] += now(loaded.device) - began
            if name in failures:
                tables[name].clear()
        inputs.kwargs = {}
        for show in observers:
            show(index, module, query, keys, values)

    layers = [PrefillLayer(index, observe) for index in range(loaded.shape.n_layers)]
    started = now(loaded.device)
    with rotating_for(loaded.model, n_sequence or len(ids), len(ids)), ExitStack() as hooks:
        if any(watches(scorer.reads) for scorer in scorers.values()):
            for attention in loaded.attention_modules:
                hooks.enter_context(inputs.watch(attention))
        loaded.model(
            input_ids=torch.tensor([list(ids)], device=loaded.device),
            past_key_values=Cache(layers=[*layers]),
            use_cache=True,
            logits_to_keep=1,
        )
    elapsed = now(loaded.device) - started
    return Context(
        keys=[layer.context_keys for layer in layers],
        values=[layer.context_values for layer in layers],
        scores={name: torch.stack(table) for name, table in tables.items() if name not in failures},
        failures=failures,
        prefill_s=elapsed - sum(score_s.values()),
        score_s=score_s,
        n_sequence=n_sequence or len(ids),
    )


def context_seed(seed: int, ids: Sequence[int]) -> int:
    """63 bits for whatever a scorer draws: other contexts draw otherwise, whatever was run before them."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{[*ids]}".encode()).digest()[:8], "big") >> 1


class ScoreError(Exception):
    """A scorer's table is not what its contract says."""


class _Guarded:
    """A layer's cache while strangers look at it: tensors of an inference have no version that would tell of writes."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self._shown, self._kept = (keys, values), (keys.clone(), values.clone())

    def restored(self) -> bool:
        """Whether somebody wrote into it; then it is as it was."""
        if all(torch.equal(shown, kept) for shown, kept in zip(self._shown, self._kept, strict=True)):
            return False
        for shown, kept in zip(self._shown, self._kept, strict=True):
            shown.copy_(kept)
        return True


def _checked(scores: Tensor, keys: Tensor) -> Tensor:
    """Refuse a layer's scores that are no finite float32 [B, H, T]."""
    if scores.shape != keys.shape[:3]:
        raise ScoreError(f"scores have shape {tuple(scores.shape)}, not {tuple(keys.shape[:3])}")
    if scores.dtype != torch.float32:
        raise ScoreError(f"scores are {scores.dtype}, not torch.float32")
    if scores.device != keys.device:
        raise ScoreError(f"scores are on {scores.device}, not on {keys.device}")
    if not bool(scores.isfinite().all()):
        raise ScoreError(f"{int((~scores.isfinite()).sum())} scores are NaN or infinite")
    return scores
