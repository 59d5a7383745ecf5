"""Decides what a layer keeps of the tokens that it holds after a block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...kernels.form import Form
from ...kernels.ragged_store import RaggedStore
from ...kernels.select import Kept, select
from ...scorers.base import LayerView, Protection, Scorer
from ..models.load import LoadedModel
from .clock import Laps
from .prefill import context_seed
from .scoring import Scoring
from .views import LayerAtHand

TABLE = "blocks"
"""Name of the scorer's table: there is one scorer."""


@dataclass(frozen=True)
class Trim:
    """What may be kept after each block.

    Attributes:
        scorer: Ranks the tokens that a layer holds.
        counts: Asked once, when the reading begins: int64 [L, 1, H] on the CPU, the most tokens that each head keeps.
        protection: The first positions, and the last of those held so far, that stay.
        n_kept: Tokens that the budget keeps in each head on average.
    """

    scorer: Scorer
    counts: Callable[[], Tensor]
    protection: Protection
    n_kept: int


@dataclass(frozen=True)
class HeldLayer:
    """A layer during the forward of a block.

    Attributes:
        index: Its place among the layers that are evicted.
        module: Its attention module.
        query: [1, HQ, N, D], the block's queries after the rotary embedding.
        store: What it holds, the block included; one row.
        form: Of its attention.
    """

    index: int
    module: Any
    query: Tensor
    store: RaggedStore
    form: Form

    @cached_property
    def heads(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [n, D] that each KV head holds."""
        return self.store.by_head()

    @property
    def lengths(self) -> Tensor:
        """int64 [H]: tokens that each head holds."""
        return torch.tensor([len(keys) for keys, _ in self.heads])


class Trimmer:
    """Selects what each layer keeps. A head that holds no more than its count keeps all.

    Where all heads of a layer keep equally many tokens the scorer is called once for them, else once for each head that
    holds too many, which it sees with its own query heads alone.

    Attributes:
        scoring: Calls the scorer.
    """

    def __init__(self, loaded: LoadedModel, trim: Trim) -> None:
        self.scoring = Scoring(loaded, {TABLE: trim.scorer}, self._view, list)
        self._selecting = Laps()
        self._loaded, self._trim, self._seed = loaded, trim, 0
        self._counts = torch.empty(0, dtype=torch.int64)

    @property
    def select_s(self) -> float:
        """Seconds of selecting."""
        return self._selecting.seconds

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block a context is read. Raises as `Scoring.guarding`, and what the counts raise."""
        with self.scoring.guarding():
            self._counts = self._trim.counts()
            yield

    def kept(self, layer: HeldLayer, seed: int) -> Kept | None:
        """What a layer keeps; None = everything.

        Args:
            layer: During the forward of a block.
            seed: For scorers that draw at random; of the tokens so far.

        Raises:
            Tainted: the scorer changed what it was shown.
            Exception: what the scorer raised.
        """
        lengths, most = layer.lengths, self._counts[layer.index, 0]
        counts = most.minimum(lengths)
        if bool((counts == lengths).all()):
            return None
        is_level = bool((most == most[0]).all())
        best = self._of_all(layer, counts, seed) if is_level else self._of_each(layer, counts, seed)
        held = layer.store.positions().mask
        mask = held.clone()
        mask[held] = best
        return Kept.of_mask(mask)

    def _of_all(self, layer: HeldLayer, counts: Tensor, seed: int) -> Tensor:
        """bool [tokens held], head after head: the best of each, where all hold equally many."""
        keys, values = (torch.stack(each).unsqueeze(0) for each in zip(*layer.heads, strict=True))
        whole = self._at_hand(layer, layer.query, keys, values)
        return self._best(whole, counts, seed)

    def _of_each(self, layer: HeldLayer, counts: Tensor, seed: int) -> Tensor:
        """bool [tokens held], head after head: the best of each."""
        n_all = layer.query.shape[1]
        group, best = n_all // len(layer.heads), []
        for head, (keys, values) in enumerate(layer.heads):
            if int(counts[head]) == len(keys):
                best.append(torch.ones(len(keys), dtype=torch.bool, device=keys.device))
                continue
            first = head * group
            of_head = layer.query[:, first : first + group]
            one = self._at_hand(
                layer, of_head, keys.view(1, 1, *keys.shape), values.view(1, 1, *values.shape), (first, n_all)
            )
            best.append(self._best(one, counts[head : head + 1], context_seed(seed, [head])))
        return torch.cat(best)

    def _at_hand(
        self, layer: HeldLayer, query: Tensor, keys: Tensor, values: Tensor, part: tuple[int, int] | None = None
    ) -> LayerAtHand:
        """What the scorer sees of a layer; `part` as in `LayerAtHand`."""
        loaded = self._loaded
        return LayerAtHand(
            loaded.model, layer.index, layer.module, query, keys, values, layer.form, {}, part, loaded.backend
        )

    def _best(self, layer: LayerAtHand, counts: Tensor, seed: int) -> Tensor:
        """bool [H * n]: the best tokens of each head, protected ones first."""
        self._seed = seed
        scores = self.scoring.score(layer)
        for failure in self.scoring.failures.values():
            raise failure
        with self._selecting.lap(layer.keys.device):
            protected = self._trim.protection.mask(layer.keys.shape[2]).to(layer.keys.device)
            return select(scores[TABLE], counts.unsqueeze(0), protected, backend=self._loaded.backend).mask.flatten()

    def _view(self, _name: str, scorer: Scorer, layer: LayerAtHand) -> LayerView:
        return layer.view(scorer.reads, self._trim.n_kept, self._seed)
