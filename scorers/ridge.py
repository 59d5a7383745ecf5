"""Ridge regression on standardised features: the linear maps that fitted scorers learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor

SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Moments:
    """Sums over tokens, from which a ridge regression follows; those of several texts can be added.

    Attributes:
        gram: float64 [F, F].
        cross: float64 [F, K].
    """

    gram: Tensor
    cross: Tensor

    @classmethod
    def of(cls, features: Tensor, targets: Tensor) -> "Moments":
        """Those of float64 [n, F] and [n, K]."""
        return cls(features.T @ features, features.T @ targets)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.gram + other.gram, self.cross + other.cross)

    def weights(self, penalty: float) -> Tensor:
        """float64 [F, K], the least squares with a penalty on the weights."""
        eye = torch.eye(len(self.gram), dtype=self.gram.dtype)
        solved: Tensor = torch.linalg.solve(self.gram + penalty * eye, self.cross)
        return solved


@dataclass(frozen=True)
class Ridge:
    """A linear map of features, fitted on several texts.

    Attributes:
        standard: Per text float64 [n, F], its features with mean 0 and a standard deviation of 1 over all texts.
        moments: Of each text.
        mean: float64 [F], of the features.
        scale: float64 [F], their standard deviation.
        level: float64 [K], the mean of the targets.
        penalty: On the weights of standardised features.
    """

    standard: Sequence[Tensor]
    moments: Sequence[Moments]
    mean: Tensor
    scale: Tensor
    level: Tensor
    penalty: float

    @classmethod
    def of(cls, features: Sequence[Tensor], targets: Sequence[Tensor], penalty: float) -> "Ridge":
        """Fit on features [n, F] and targets [n, K] of each text, both float64."""
        every = torch.cat([*features])
        mean, scale = every.mean(dim=0), every.std(dim=0).clamp_min(SMALLEST)
        level = torch.cat([*targets]).mean(dim=0)
        standard = [(each - mean) / scale for each in features]
        moments = [Moments.of(*pair) for pair in zip(standard, (each - level for each in targets), strict=True)]
        return cls(standard, moments, mean, scale, level, penalty)

    @cached_property
    def weights(self) -> Tensor:
        """float64 [F, K], of the features as they come."""
        return reduce(add, self.moments).weights(self.penalty) / self.scale.unsqueeze(-1)

    @property
    def bias(self) -> Tensor:
        """float64 [K]."""
        return self.level - self.mean @ self.weights

    def held_out(self) -> list[Tensor]:
        """Per text float64 [n, K]: its predictions by a map that was fitted on the other texts, one at least."""
        n = len(self.moments)
        others = [reduce(add, (self.moments[i] for i in range(n) if i != text)) for text in range(n)]
        fitted = zip(self.standard, others, strict=True)
        return [each @ other.weights(self.penalty) + self.level for each, other in fitted]


def check_penalty(ridge: float) -> None:
    """Refuse a penalty that is not above 0.

    Raises:
        ValueError: it is not.
    """
    if not 0 < ridge < float("inf"):
        raise ValueError(f"ridge is a number above 0, not {ridge}")
