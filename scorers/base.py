"""The scorer contract, and what scorers and allocators share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Protection:
    """Tokens that every allocator must keep, charged inside its budget.

    Attributes:
        sink: How many of the first tokens.
        window: How many of the last tokens.
    """

    sink: int
    window: int

    def mask(self, n_tokens: int) -> Tensor:
        """Bool [T], True where a token is protected."""
        mask = torch.zeros(n_tokens, dtype=torch.bool)
        mask[: self.sink] = True
        mask[max(n_tokens - self.window, 0) :] = True
        return mask


@dataclass(frozen=True)
class Reads:
    """What a scorer has to see of a layer besides keys and values, so that nothing else is kept for it.

    Attributes:
        queries: How many of the last queries; "all" for every one.
        hidden_states: Whether the layer's attention input is needed.
    """

    queries: int | Literal["all"] = 0
    hidden_states: bool = False


@dataclass(frozen=True)
class LayerView:
    """One layer of the context at the end of its prefill. It lives only inside that layer's forward.

    Attributes:
        layer: Index of the layer.
        keys: [B, H, T, D], after the rotary embedding.
        values: [B, H, T, D].
        queries: [B, HQ, n, D], the last n queries after the rotary embedding; None unless declared.
        hidden_states: [B, T, hidden]; None unless declared.
    """

    layer: int
    keys: Tensor
    values: Tensor
    queries: Tensor | None = None
    hidden_states: Tensor | None = None


class Scorer(Protocol):
    """Ranks the cached tokens inside each KV head. Knows nothing of budgets.

    A scorer is a frozen dataclass of its hyper-parameters. Its first docstring line is what `list` shows.

    Attributes:
        source: Where the method was published.
        reads: What it has to see.
        protection: Its default sink and window.
    """

    source: ClassVar[str]
    reads: ClassVar[Reads]
    protection: ClassVar[Protection]

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], higher = keep; finite."""


@dataclass(frozen=True)
class CalibrationDocument:
    """What the model did with one calibration document under full attention.

    Attributes:
        scores: float32 [L, H, T], the scorer's table of the document.
        importance: float32 [questions, L, H, T], the oracle importance of each cached token while the model
            answered each question (LU-KV, arXiv 2602.08585, section 3).
        protected: bool [T].
    """

    scores: Tensor
    importance: Tensor
    protected: Tensor


@dataclass(frozen=True)
class Profile:
    """An offline artefact that a plugin fitted for one model (and, for LU-KV, one scorer).

    Attributes:
        kind: Name of the method that fitted it.
        arrays: The fitted tensors by name.
        made: Everything that decides it: model revision, scorer, texts, seed, code.
        notes: The circumstances, which a reader may want to know: device, dtype, package versions.
    """

    kind: str
    arrays: Mapping[str, Tensor]
    made: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class Fitted(Protocol):
    """A plugin that needs a profile. The harness calibrates, caches the profile and hands it over.

    Attributes:
        profile: A profile file chosen by the user; "" = the one the harness finds or makes.
    """

    profile: str

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """The arrays of the profile, from calibration."""
