"""Calibrated utility: what a token will be worth to the future, predicted in one unit for the whole model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import CalibrationDocument, CalibrationReads, LayerView, Protection, Reads
from .calibrated_features import N_SCALARS, scalar_features
from .calibrated_map import interpolate, isotonic_knots
from .ridge import Ridge, check_penalty

N_SINK = 4
"""First tokens, which every future attends to: they are not learned from."""

N_KNOTS = 48
EPSILON, QUANTILE = 0.3, 0.7
"""The unit of a future is EPSILON x this quantile of its utilities over all tokens and heads."""

SLOPE = 0.01
"""Share of the regression's own estimate beside the calibrated one, so that no two predictions are worth the same."""

SCORED_ALIKE = ("maps", "knots", "worth")
"""Arrays [K, L, H, n] of a profile."""


@dataclass(frozen=True)
class CalibratedUtility:
    """Predicts what each token will be worth to three kinds of future, in one unit for the whole model.

    U_j = sum over futures k of E_(k,h)(p_(k,h,j)) / eps_k, p_(k,h,j) = w_(k,h) . f_j + b_(k,h)

    f_j is the input of the attention layer with ten numbers of the head's key and value: position, KeyDiff and its
    averages, norms. w and b are a ridge regression to log(u + eps_k), and E_(k,h) the isotonic map from its predictions
    for documents that it was not fitted on to the utility u (`CalibrationDocument.utility`), with a hundredth of exp(p)
    added, so that no two tokens are worth the same: while the model repeats a document, answers questions about it, and
    reads on. U has one unit, so `--allocator global` is the allocator that it is made for: the budgets of heads then
    follow from the scores. A single calibration document is halved for the isotonic map.

    Source: ours, unpublished. The nearest published ones are KVzap (arXiv 2601.07891), which predicts the attention of
    a replay from hidden states, and LKV (arXiv 2605.06676), which learns budgets and a scorer.

    Attributes:
        ridge: Penalty, above 0, in units of calibration tokens.
        profile: A profile file; "" = the one the harness finds or makes.
    """

    ridge: float = 100.0
    profile: str = ""

    source: ClassVar[str] = "lukv-bench, unpublished"
    reads: ClassVar[Reads] = Reads(hidden_states=True)
    protection: ClassVar[Protection] = Protection(sink=4, window=1)
    calibration: ClassVar[CalibrationReads] = CalibrationReads(
        keys=True, values=True, hidden_states=True, utility=True, protected=False
    )

    def __post_init__(self) -> None:
        """Refuse a penalty that is not above 0."""
        check_penalty(self.ridge)

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """float32, for K = 3 futures: `maps` [K, L, H, hidden + 10], `levels` [K, L, H], `knots` and `worth`
        [K, L, H, 48], in units of each future; `unit` [K]; `longest` [1], tokens of the longest document."""
        read = [_checked(document) for document in documents]
        unit = _units(read)
        longest = max(each.keys.shape[2] for each in read)
        n_futures, n_layers, n_heads = read[0].utility.shape[:3]
        fitted = [
            _fit_head([each.head(future, layer, head, longest) for each in read], float(unit[future]), self.ridge)
            for future in range(n_futures)
            for layer in range(n_layers)
            for head in range(n_heads)
        ]
        maps, levels, knots, worth = (
            torch.stack(each).unflatten(0, (n_futures, n_layers, n_heads)).float() for each in zip(*fitted, strict=True)
        )
        return {
            "maps": maps,
            "levels": levels,
            "knots": knots,
            "worth": worth,
            "unit": unit.float(),
            "longest": torch.tensor([float(longest)]),
        }

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Raises ValueError where the arrays are not those of `fit` for a model of this shape."""
        named = {"maps", "levels", "knots", "worth", "unit", "longest"}
        if set(arrays) != named:
            raise ValueError(f"it has {', '.join(sorted(arrays)) or 'no arrays'}, not {', '.join(sorted(named))}")
        if not all(array.is_floating_point() for array in arrays.values()):
            raise ValueError("its arrays are not numbers with a point")
        if arrays["unit"].ndim != 1 or not bool((arrays["unit"] > 0).all()):
            raise ValueError("its units are not numbers above 0")
        if arrays["longest"].shape != (1,) or not float(arrays["longest"]) >= 1:
            raise ValueError("its longest document has no token")
        shape = (len(arrays["unit"]), n_layers, n_kv_heads)
        alike = (arrays["levels"], *(arrays[name][..., 0] for name in SCORED_ALIKE if arrays[name].ndim == 4))
        if len(alike) < 4 or any(array.shape != shape for array in alike):
            raise ValueError(f"its maps are not those of {n_layers} layers with {n_kv_heads} KV heads")
        if arrays["maps"].shape[-1] <= N_SCALARS:
            raise ValueError("its maps read nothing of the attention layer's input")
        if arrays["knots"].shape != arrays["worth"].shape or arrays["knots"].shape[-1] < 2:
            raise ValueError("it has not two knots at least, with the worth of each")
        if not all(bool((arrays[name].diff(dim=-1) >= 0).all()) for name in ("knots", "worth")):
            raise ValueError("its knots do not ascend")
        if bool((arrays["worth"] < 0).any()):
            raise ValueError("a token is worth at least 0")

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], above 0."""
        if layer.hidden_states is None or layer.profile is None:
            raise ValueError("calibrated utility needs hidden states and its profile")
        arrays = layer.profile.arrays
        maps, levels, knots, worth = (
            arrays[name][:, layer.layer].float() for name in ("maps", "levels", "knots", "worth")
        )
        scalars = scalar_features(layer.keys, layer.values, int(arrays["longest"][0]), backend=layer.backend)
        seen = torch.einsum("btd,khd->bkht", layer.hidden_states.float(), maps[..., :-N_SCALARS])
        predicted = seen + torch.einsum("bhtf,khf->bkht", scalars, maps[..., -N_SCALARS:]) + levels[..., None]
        own = (len(predicted), *knots.shape)
        expected = interpolate(predicted, knots.expand(own), worth.expand(own))
        top = knots[..., -1:]
        beyond = (predicted - top).clamp_min(0)  # grows linearly, since an exponential function might overflow
        estimate = predicted.minimum(top).exp() * (1 + beyond) / arrays["unit"].float()[:, None, None]
        return (expected + SLOPE * estimate).sum(dim=1)


@dataclass(frozen=True)
class _Document:
    """What is learned from a document: hidden states [L, T, hidden], keys and values [L, H, T, D], utility float32
    [K, L, H, T], NaN for the last tokens where those are the future; n_known [K], the tokens that have a utility."""

    hidden: Tensor
    keys: Tensor
    values: Tensor
    utility: Tensor
    n_known: tuple[int, ...]

    def head(self, future: int, layer: int, head: int, longest: int) -> tuple[Tensor, Tensor]:
        """float64: a head's features [n, hidden + 10] and utilities [n], without the sink tokens. The document ends
        where the future begins."""
        n, own = self.n_known[future], slice(head, head + 1)
        keys, values = (each[None, layer, own, :n] for each in (self.keys, self.values))
        scalars = scalar_features(keys, values, longest)[0, 0]
        features = torch.cat([self.hidden[layer, :n].double(), scalars.double()], dim=-1)
        return features[N_SINK:], self.utility[future, layer, head, N_SINK:n].double()


def _checked(document: CalibrationDocument) -> _Document:
    hidden, keys, values, utility = document.hidden_states, document.keys, document.values, document.utility
    if hidden is None or keys is None or values is None or utility is None:
        raise ValueError("calibrated utility is fitted on hidden states, keys, values and utilities")
    return _Document(hidden, keys, values, utility, tuple(map(_n_known, utility)))


def _n_known(utility: Tensor) -> int:
    """The first tokens of [L, H, T] that have a utility.

    Raises:
        ValueError: others are not finite either.
    """
    known = utility.isfinite()
    n = int(known[0, 0].sum())
    if not bool(known[..., :n].all()) or bool(known[..., n:].any()) or n <= N_SINK + 1:
        raise ValueError("the utilities of a document are not finite up to its future")
    return n


def _units(documents: Sequence[_Document]) -> Tensor:
    """float64 [K].

    Raises:
        ValueError: a future uses nothing of most tokens.
    """
    units = []
    for future in range(len(documents[0].utility)):
        learned = [each.utility[future, ..., N_SINK : each.n_known[future]].flatten() for each in documents]
        units.append(EPSILON * float(np.quantile(torch.cat(learned).double().numpy(), QUANTILE)))
    if not min(units) > 0:
        raise ValueError("most tokens are worth nothing to some future")
    return torch.tensor(units, dtype=torch.float64)


def _fit_head(
    documents: Sequence[tuple[Tensor, Tensor]], unit: float, penalty: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """float64: a future's weights [F], bias [], knots and their worth [knots]."""
    if len(documents) == 1:
        documents = [(one[place], worth[place]) for one, worth in documents for place in _halves(len(one))]
    features, utilities = zip(*documents, strict=True)
    ridge = Ridge.of(features, [(each + unit).log().unsqueeze(-1) for each in utilities], penalty)
    predicted, actual = torch.cat(ridge.held_out())[:, 0], torch.cat(utilities)
    knots, worth = isotonic_knots(predicted, actual / unit, N_KNOTS)
    return ridge.weights[:, 0], ridge.bias[0], knots, worth


def _halves(n: int) -> tuple[slice, slice]:
    return slice(0, n // 2), slice(n // 2, n)
