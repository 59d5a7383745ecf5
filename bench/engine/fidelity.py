"""How the next tokens over an evicted cache differ from those over the full cache, given the same tokens before them.

Both caches are fed the full cache's answer, so that every token of it is compared, whatever each would have answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..models.load import LoadedModel
from .cache import StoreCache
from .decode import NOT_FINITE, Pass
from .feed import feed, finite
from .rotary import rotating_for

PIECE = 32
"""Tokens whose logits are compared at once. It bounds the memory of their copies in float64."""

COPIES = 5
"""Arrays of a piece in float64 that are there at once: the full cache's logarithms and probabilities, the logits of two
rows, one of which is no longer needed, and one within a sum."""


@dataclass(frozen=True)
class Fidelity:
    """How an answer's cache differs from the full cache.

    Attributes:
        n_tokens: Tokens of the full cache's answer, its EOS included.
        kl_nats: Mean over them of KL(full || evicted) of the next token.
        agreement: The share of them on which both choose the same token.
        parted_at: The first on which they do not, counted from 0; None where there is none.
        n_reference_tokens: Tokens of the reference; None without one, and where its logits are not finite.
        reference_nll: Their mean negative log-likelihood, in nats.
        full_reference_nll: The same over the full cache.
    """

    n_tokens: int
    kl_nats: float
    agreement: float
    parted_at: int | None
    n_reference_tokens: int | None = None
    reference_nll: float | None = None
    full_reference_nll: float | None = None


@dataclass(frozen=True)
class FullAnswer:
    """The answer of the full cache, which others are compared with.

    Attributes:
        tokens: The tokens it chose, an EOS included, at least one.
        logits: [n, vocabulary] on the CPU, those that chose them.
        reference: Token ids of the reference; empty without one.
        reference_nll: Their mean negative log-likelihood in nats; None without one.
    """

    tokens: tuple[int, ...]
    logits: Tensor
    reference: tuple[int, ...]
    reference_nll: float | None

    @cached_property
    def draft(self) -> tuple[int, ...]:
        """The tokens that are fed, so that there are logits for each token of the answer."""
        return self.tokens[:-1]

    @property
    def begins_with_reference(self) -> bool:
        """Whether the logits for the reference are among those for the answer."""
        return self.tokens[: len(self.reference)] == self.reference

    @property
    def own_fidelity(self) -> Fidelity:
        """Of the full cache to itself."""
        return self._fidelity(0.0, 1.0, None, self.reference_nll)

    def fidelity(self, kl_nats: Tensor, chosen: Sequence[int], reference_nll: float | None) -> Fidelity:
        """The fidelity of another cache.

        Args:
            kl_nats: float64 [n], of each token.
            chosen: The n tokens that the other cache chose.
            reference_nll: The mean negative log-likelihood of the reference over it, in nats.
        """
        is_same = [own == other for own, other in zip(self.tokens, chosen, strict=True)]
        parted_at = None if all(is_same) else is_same.index(False)
        mean = max(float(kl_nats.mean()), 0.0)  # of two equal distributions it may be -1e-16
        return self._fidelity(mean, sum(is_same) / len(is_same), parted_at, reference_nll)

    def _fidelity(
        self, kl_nats: float, agreement: float, parted_at: int | None, reference_nll: float | None
    ) -> Fidelity:
        has_reference = reference_nll is not None and self.reference_nll is not None
        return Fidelity(
            n_tokens=len(self.tokens),
            kl_nats=kl_nats,
            agreement=agreement,
            parted_at=parted_at,
            n_reference_tokens=len(self.reference) if has_reference else None,
            reference_nll=reference_nll if has_reference else None,
            full_reference_nll=self.reference_nll if has_reference else None,
        )


@dataclass
class FullAnswerObserver:
    """Observes the passes in which a full cache, one row, answers. Its first draft is the reference."""

    reference: tuple[int, ...]
    _tokens: list[int] = field(default_factory=list)
    _logits: list[Tensor] = field(default_factory=list)
    _reference_nll: float | None = None

    def __call__(self, observed: Pass) -> None:
        """Called after each pass."""
        ((logits, tokens, n_accepted),) = zip(observed.logits, observed.tokens, observed.n_accepted, strict=True)
        if self.reference and not self._tokens:
            self._reference_nll = mean_nll(logits, self.reference)
        self._tokens += tokens[:n_accepted]
        self._logits.append(logits[:n_accepted].cpu().clone())  # held on no device, and without the others

    @property
    def answer(self) -> FullAnswer:
        """The answer, once it is complete."""
        return FullAnswer(tuple(self._tokens), torch.cat(self._logits), self.reference, self._reference_nll)


@dataclass
class FidelityObserver:
    """Observes the first pass of evicted caches, whose draft is the full cache's answer.

    Attributes:
        full: The full cache's answer.
        reference_nlls: Of each row, where they are known before that pass.
        fidelities: By row; None where a logit is not finite.
    """

    full: FullAnswer
    reference_nlls: Sequence[float | None] | None
    fidelities: dict[int, Fidelity | None] = field(default_factory=dict)

    def __call__(self, observed: Pass) -> None:
        """Called after each pass."""
        if self.fidelities:
            return
        n = len(self.full.tokens)
        logits = [of_row[:n] for of_row in observed.logits]
        for row, of_row, tokens, kl_nats in zip(
            observed.rows, logits, observed.tokens, divergences(self.full.logits, logits), strict=True
        ):
            is_finite = NOT_FINITE not in tokens[:n]
            nll = self._reference_nll(row, of_row) if is_finite else None
            self.fidelities[row] = self.full.fidelity(kl_nats, tokens[:n], nll) if is_finite else None

    def _reference_nll(self, row: int, logits: Tensor) -> float | None:
        if self.reference_nlls is not None:
            return self.reference_nlls[row]
        return mean_nll(logits, self.full.reference) if self.full.reference else None


def divergences(full: Tensor, others: Sequence[Tensor]) -> Tensor:
    """KL(full || other) of the next token in nats, float64 [rows, n], computed in float64.

    Args:
        full: [n, vocabulary], logits.
        others: One [n, vocabulary] a row.
    """
    kl_nats = torch.empty(len(others), len(full), dtype=torch.float64)
    for start in range(0, len(full), PIECE):
        piece = slice(start, start + PIECE)
        logprobs = full[piece].to(others[0].device).double().log_softmax(-1)
        probs = logprobs.exp()
        negative_entropy = (probs * logprobs).sum(-1)
        for row, logits in enumerate(others):
            other = logits[piece].double()
            kl_nats[row, piece] = (negative_entropy - (probs * other).sum(-1) + other.logsumexp(-1)).cpu()
    return kl_nats


def compared_bytes(n_tokens: int, n_vocabulary: int) -> int:
    """Bytes that `divergences` takes at its peak beside the logits, for any number of rows."""
    return COPIES * min(n_tokens, PIECE) * n_vocabulary * torch.float64.itemsize


def mean_nll(logits: Tensor, tokens: Sequence[int]) -> float | None:
    """The mean negative log-likelihood of tokens in nats, given at least as many rows of logits [n, vocabulary]; None
    where these are not finite."""
    own = logits[: len(tokens)]
    if not bool(finite(own).all()):
        return None
    total = 0.0
    for start in range(0, len(tokens), PIECE):
        piece = slice(start, start + PIECE)
        targets = torch.tensor(tokens[piece], device=own.device).unsqueeze(-1)
        total -= float(own[piece].double().log_softmax(-1).gather(-1, targets).sum())
    return total / len(tokens)


@torch.inference_mode()
def reference_nlls(
    loaded: LoadedModel, cache: StoreCache, question: Sequence[int], reference: Sequence[int]
) -> list[float | None]:
    """The reference's mean negative log-likelihood in nats over each row of a cache, after the question.

    All of the question but its last token stays in the cache.

    Args:
        loaded: The model, switched to store attention.
        cache: Stores over the context with nothing fed yet.
        question: Token ids, at least one.
        reference: Token ids, at least one.
    """
    n_rows, n = len(cache.n_seen), len(reference)
    fed = [*question, *reference[:-1]]
    with rotating_for(loaded.model, cache.n_sequence, int(cache.n_seen.max()) + len(fed)):
        logits = feed(loaded, cache, [fed] * n_rows, [n] * n_rows).float()
    cache.take_back(torch.full((n_rows,), n))
    return [mean_nll(of_row, reference) for of_row in logits.split(n)]
