"""Feed a context once under full attention; take what scorers need while each layer is at hand."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ...scorers.base import LayerView, Reads, Scorer
from ..models.load import LoadedModel
from .cache import PrefillLayer, PrefillObserver
from .clock import now


@dataclass(frozen=True)
class Context:
    """A context's full cache and its score tables.

    Attributes:
        keys: Per layer [1, H, T, D].
        values: Per layer [1, H, T, D].
        scores: Per scorer name float32 [L, 1, H, T].
        failures: Per scorer name why it has no table.
        prefill_s: Wall seconds of the forward pass, scoring left out.
        score_s: Per scorer its wall seconds over all layers.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    scores: Mapping[str, Tensor]
    failures: Mapping[str, Exception]
    prefill_s: float
    score_s: Mapping[str, float]

    def table(self, scorer: str) -> Tensor:
        """A scorer's table, float32 [L, 1, H, T]; raises what the scorer raised."""
        if scorer in self.failures:
            raise self.failures[scorer]
        return self.scores[scorer]

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
) -> Context:
    """Run the context through the model once.

    Args:
        loaded: The model, switched to store attention.
        ids: Token ids of the context, at least one.
        scorers: By the name their tables get.
        observers: Shown every layer while it is at hand.
    """
    tables: dict[str, list[Tensor]] = {name: [] for name in scorers}
    failures: dict[str, Exception] = {}
    score_s = dict.fromkeys(scorers, 0.0)
    hidden: dict[int, Tensor] = {}

    def observe(index: int, module: Any, query: Tensor, keys: Tensor, values: Tensor) -> None:
        for name, scorer in scorers.items():
            if name in failures:
                continue
            began = now(loaded.device)
            try:
                view = _view(scorer.reads, index, query, keys, values, hidden)
                tables[name].append(_checked(scorer.score(view), keys))
            except Exception as error:  # a stranger's scorer may raise anything; the other scorers go on
                failures[name] = error
            score_s[name] += now(loaded.device) - began
        hidden.clear()
        for show in observers:
            show(index, module, query, keys, values)

    layers = [PrefillLayer(index, observe) for index in range(loaded.shape.n_layers)]
    started = now(loaded.device)
    with ExitStack() as hooks:
        if any(scorer.reads.hidden_states for scorer in scorers.values()):
            for index, attention in enumerate(loaded.attention_modules):
                hooks.enter_context(_watch_input(attention, index, hidden))
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
    )


def _view(
    reads: Reads, index: int, query: Tensor, keys: Tensor, values: Tensor, hidden: Mapping[int, Tensor]
) -> LayerView:
    last = query.shape[2] if reads.queries == "all" else reads.queries
    return LayerView(
        layer=index,
        keys=keys,
        values=values,
        queries=query[:, :, -last:] if last else None,
        hidden_states=hidden[index] if reads.hidden_states else None,
    )


class ScoreError(Exception):
    """A scorer's table is not what its contract says."""


def _checked(scores: Tensor, keys: Tensor) -> Tensor:
    """Refuse a layer's scores that are no finite float32 [B, H, T]."""
    if scores.shape != keys.shape[:3]:
        raise ScoreError(f"scores have shape {tuple(scores.shape)}, not {tuple(keys.shape[:3])}")
    if scores.dtype != torch.float32:
        raise ScoreError(f"scores are {scores.dtype}, not torch.float32")
    if not bool(scores.isfinite().all()):
        raise ScoreError(f"{int((~scores.isfinite()).sum())} scores are NaN or infinite")
    return scores


def _watch_input(attention: Any, index: int, into: dict[int, Tensor]) -> Any:
    """Keep what enters an attention module; the handle removes the hook when it closes."""

    def keep(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        into[index] = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]

    return attention.register_forward_pre_hook(keep, with_kwargs=True)
