"""How much each head retrieves, by a replay of calibration documents: what HeadKV and DuoAttention rank heads by."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..scorers.base import CalibrationDocument
from .base import AllocationRequest

SCORE = "score"

N_SINK = 4
"""First tokens that most heads attend to whatever they hold: they tell nothing of a head."""


def fitted_scores(
    documents: Sequence[CalibrationDocument], of_head: Callable[[Tensor], Tensor]
) -> Mapping[str, Tensor]:
    """The profile: `score` float64 [L, H], the mean over documents of what `of_head` makes of a head's tokens.

    Args:
        documents: With replays.
        of_head: From float64 [L, H, repeated tokens] to [L, H].
    """
    return {SCORE: torch.stack([of_head(_repeated(document)) for document in documents]).mean(dim=0)}


def check_scores(arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
    """Refuse arrays that `fitted_scores` cannot have made for a model of this shape.

    Raises:
        ValueError: they are not scores of its heads.
    """
    scores = arrays.get(SCORE)
    if scores is None or set(arrays) != {SCORE}:
        raise ValueError(f"it holds {', '.join(sorted(arrays)) or 'nothing'}, not one array named {SCORE}")
    if scores.shape != (n_layers, n_kv_heads):
        raise ValueError(f"its scores are not those of {n_layers} layers with {n_kv_heads} KV heads")
    if not scores.is_floating_point() or not bool(((scores >= 0) & scores.isfinite()).all()):
        raise ValueError("a head's score is a number of at least 0")


def scores_of(request: AllocationRequest) -> Tensor:
    """float64 [len(layers), H], the scores of the layers asked for.

    Raises:
        ValueError: the request has no profile.
    """
    if request.profile is None:
        raise ValueError("the allocator was asked to allocate without its profile")
    return request.profile.arrays[SCORE].double().cpu()[list(request.layers)]


def _repeated(document: CalibrationDocument) -> Tensor:
    """float64 [L, H, n], the replay of the tokens that were repeated, without the first of the text."""
    if document.replay is None:
        raise ValueError("heads are ranked by a replay")
    is_repeated = document.replay.amax(dim=(0, 1)) > 0
    is_repeated[:N_SINK] = False
    return document.replay[..., is_repeated].double()
