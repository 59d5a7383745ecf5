"""KVzap: KVzip's scores, predicted from the hidden states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import CalibrationDocument, CalibrationReads, LayerView, Protection, Reads
from .ridge import Ridge, check_penalty

FLOOR = 1e-12
"""Scores below it are taken as it is: an attention that underflows in one head would outweigh all others."""


@dataclass(frozen=True)
class KVzap:
    """Predicts what the model would attend to while it repeats the context, without repeating it.

    score_j = w_h . x_j + b_h, fitted to log(s_j), where s_j is KVzip's score and x_j the input of the attention layer

    A linear map per KV head, found by least squares over the calibration documents with the penalty `ridge` on the
    weights of standardised inputs. Online it costs one product of the hidden states with an [H, hidden] matrix a layer,
    where KVzip costs two further prefills.

    Source: Jegou, Jeblick, "KVzap: Fast, Adaptive, and Faithful KV Cache Pruning", arXiv 2601.07891; the linear one.
    Budgets over the model are `--allocator global`; sink 4 and no window, as KVzip.
    Differs from the paper: fitted in closed form on the calibration documents (13,000 tokens for the default model, not
    millions), hence only the linear form; its targets are KVzip's own scores and not KVzip+'s, which weigh them by
    ||W_O v_j|| / ||x||; it ranks for a budget, where the paper keeps what is above a threshold and the last 128 tokens.

    Attributes:
        ridge: Penalty, above 0, in units of calibration tokens.
        profile: A profile file; "" = the one the harness finds or makes.
    """

    ridge: float = 100.0
    profile: str = ""

    source: ClassVar[str] = "arXiv 2601.07891"
    reads: ClassVar[Reads] = Reads(hidden_states=True)
    protection: ClassVar[Protection] = Protection(sink=4, window=0)
    calibration: ClassVar[CalibrationReads] = CalibrationReads(hidden_states=True, replay=True)

    def __post_init__(self) -> None:
        """Refuse a penalty that is not above 0."""
        check_penalty(self.ridge)

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """`weights` float32 [L, H, hidden] and `bias` float32 [L, H]."""
        read = [_checked(document) for document in documents]
        repeated = [replay.amax(dim=(0, 1)) > 0 for _, replay in read]
        fitted = []
        for layer in range(len(read[0][0])):
            inputs = torch.cat([each[layer, own].double() for (each, _), own in zip(read, repeated, strict=True)])
            scores = torch.cat(
                [each[layer][:, own].double() for (_, each), own in zip(read, repeated, strict=True)], dim=1
            )
            fitted.append(Ridge.of([inputs], [scores.clamp_min(FLOOR).log().T], self.ridge))
        return {
            "weights": torch.stack([each.weights.T for each in fitted]).float(),
            "bias": torch.stack([each.bias for each in fitted]).float(),
        }

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Raises ValueError where the arrays are not those of `fit` for a model of this shape."""
        if set(arrays) != {"weights", "bias"}:
            raise ValueError(f"a profile of kvzap has weights and bias, not {', '.join(sorted(arrays))}")
        shape = (n_layers, n_kv_heads)
        if not all(array.is_floating_point() for array in arrays.values()):
            raise ValueError("its weights are not numbers with a point")
        if arrays["weights"].shape[:-1] != shape or arrays["bias"].shape != shape:
            raise ValueError(f"its weights are not those of {n_layers} layers with {n_kv_heads} KV heads")

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], a logarithm."""
        if layer.hidden_states is None or layer.profile is None:
            raise ValueError("KVzap needs hidden states and its profile")
        weights, bias = (layer.profile.arrays[name][layer.layer].float() for name in ("weights", "bias"))
        return (layer.hidden_states.float() @ weights.T + bias).mT


def _checked(document: CalibrationDocument) -> tuple[Tensor, Tensor]:
    """A document's inputs [L, T, hidden] and replay [L, H, T], 0 everywhere for tokens that are not repeated."""
    if document.hidden_states is None or document.replay is None:
        raise ValueError("KVzap is fitted on hidden states and a replay")
    return document.hidden_states, document.replay
