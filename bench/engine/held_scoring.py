"""Scores a context that is held in memory, for scorers that read what only comes after its prefill."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ...scorers.base import LayerView, Scorer
from ..guard.stamps import Stamps
from ..models.load import LoadedModel
from .context import Context
from .scoring import Scoring
from .views import LayerAtHand


def score_held(
    loaded: LoadedModel,
    context: Context,
    name: str,
    scorer: Scorer,
    layers: Iterable[LayerAtHand],
    n_kept: int | None,
    seed: int,
) -> tuple[Tensor, float]:
    """A scorer's table, float32 [L, 1, H, T], and its seconds.

    Args:
        loaded: The model.
        context: Held in memory.
        name: Of the table.
        scorer: The plugin's instance.
        layers: Those of the context, with what the scorer reads.
        n_kept: Tokens that the budget keeps in each head on average.
        seed: For scorers that draw at random.

    Raises:
        Tainted: the scorer changed something that it may only read.
        Exception: what the scorer raised.
    """
    held = Stamps(
        (f"{what} of layer {index}", tensor)
        for index, layer in enumerate(context.layers())
        for what, tensor in zip(("keys", "values"), layer, strict=True)
    )

    def view(_: str, of: Scorer, layer: LayerAtHand) -> LayerView:
        return layer.view(of.reads, n_kept, seed)

    scoring, table = Scoring(loaded, {name: scorer}, view, held.written), list[Tensor]()
    with torch.inference_mode(mode=False), scoring.guarding():
        for layer in layers:
            scores = scoring.score(layer)
            for error in scoring.failures.values():
                raise error
            table.append(scores[name].to(context.keys[0].device))
    return torch.stack(table), scoring.score_s[name]
