"""Evicts a text and records which positions each head keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ... import UserError
from ..calibration.steps import Report
from ..engine.prompt import adds_special_tokens, cut_at_context, place_of_context, render, tokens_of
from ..engine.ready import refuse_sliding_window
from ..files.access import write_whole
from ..methods.allocation import check_budget
from ..methods.events import Event
from ..methods.eviction import check_methods, evict_alone, only_method
from ..methods.kept_evidence import Span
from ..methods.method import Method
from ..methods.profiles import with_own_profiles
from ..methods.selection import Selection
from ..models.load import LoadedModel
from ..samples.evidence import token_spans
from .places import places_of


@dataclass(frozen=True)
class Inspection:
    """What one eviction keeps.

    Attributes:
        token_ids: int64 [T], the context as fed, template head included.
        counts: int64 [L, H].
        layers: int64 [L], the index in the model of each layer that is evicted.
        offsets: int64 [L * H + 1], where each head's positions start.
        positions: int64, ascending in each head.
        texts: For each token, the characters of the prompt that it completes; "" if it completes none.
        events: Special cases of the eviction, such as a budget larger than the context.
        evidence: [start, end) in tokens of each place of the text that was looked for.
    """

    token_ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    layers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    texts: tuple[str, ...]
    events: Sequence[Event]
    evidence: tuple[Span, ...] = ()

    @property
    def shares(self) -> NDArray[np.float64]:
        """[T], the share of the heads of all layers that keep each token."""
        return np.bincount(self.positions, minlength=len(self.token_ids)) / self.counts.size

    def save(self, path: Path) -> None:
        """Write a NumPy archive.

        Raises:
            UserError: the place cannot be written to.
        """
        write_whole(path, "--out", self._write)

    def _write(self, path: Path) -> None:
        more: dict[str, Any] = {"evidence": np.asarray(self.evidence, dtype=np.int64)} if self.evidence else {}
        with path.open("wb") as file:  # given a path, NumPy would add a suffix
            np.savez(
                file,
                token_ids=self.token_ids,
                counts=self.counts,
                layers=self.layers,
                offsets=self.offsets,
                positions=self.positions,
                **more,
            )

    def summary(self) -> str:
        """One line."""
        n_tokens, heads = len(self.token_ids), self.counts.size
        kept = int(self.counts.sum())
        return (
            f"{n_tokens} tokens, {heads} heads: kept {kept} of {n_tokens * heads} slots "
            f"({100 * kept / (n_tokens * heads):.2f}%), {self.counts.min()} to {self.counts.max()} a head"
        )


def inspect_context(
    loaded: LoadedModel, method: Method, text: str, seed: int, report: Report, evidence: str | None = None
) -> Inspection:
    """Feed a text as a user turn and evict it.

    Args:
        loaded: The model.
        method: What evicts.
        text: The context; its outer white space is left out.
        seed: The run's.
        report: Called with what is being done.
        evidence: A text whose places in the context are looked for; None = none.

    Raises:
        UserError: the text is too long for the model, or the scorer or the budget cannot be served.
        PluginError: the scorer or the allocator failed.
    """
    check_methods(loaded, [method])
    _refuse_far_too_long(loaded, text)
    prompt = render(loaded.tokenizer, text)
    ids, n_tokens = cut_at_context(loaded.tokenizer, prompt, text.strip())
    if n_tokens > loaded.shape.max_positions:
        raise UserError(f"the context has {n_tokens} tokens, and {loaded.name} has {loaded.shape.max_positions}.")
    refuse_sliding_window(loaded, n_tokens)
    check_budget(method, loaded.shape, n_tokens)
    selection = _select(loaded, method, ids[:n_tokens], seed, report)
    kept = selection.kept
    counts = torch.cat([layer.offsets.diff().view(1, -1) for layer in kept])
    offsets = np.concatenate([[0], counts.reshape(-1).numpy().cumsum()])
    return Inspection(
        token_ids=np.asarray(ids[:n_tokens], dtype=np.int64),
        counts=counts.numpy(),
        layers=np.asarray(loaded.shape.evicted, dtype=np.int64),
        offsets=offsets.astype(np.int64),
        positions=torch.cat([layer.positions for layer in kept]).cpu().numpy(),
        texts=_texts(loaded.tokenizer, prompt)[:n_tokens],
        events=selection.events,
        evidence=_evidence(loaded.tokenizer, prompt, text.strip(), evidence, n_tokens),
    )


def _evidence(tokenizer: Any, prompt: str, context: str, evidence: str | None, n_tokens: int) -> tuple[Span, ...]:
    """The tokens of each place of a text in the context; the last token of the prompt's context may be missing."""
    place = None if evidence is None else place_of_context(prompt, context)
    if evidence is None or place is None:
        return ()
    shift, _ = place
    places = [(start + shift, end + shift) for start, end in places_of(evidence, context)]
    spans = token_spans(tokenizer, prompt, True, places)
    return tuple((start, min(end, n_tokens)) for start, end in spans if start < n_tokens)


def _refuse_far_too_long(loaded: LoadedModel, text: str) -> None:
    """Refuse a text by its characters alone: tokenising many megabytes takes gigabytes.

    Raises:
        UserError: the text would not fit the model even if every token were the longest one.
    """
    longest = max(len(token) for token in loaded.tokenizer.get_vocab())
    if len(text) > longest * loaded.shape.max_positions:
        raise UserError(
            f"the context has {len(text)} characters, more than fit into {loaded.name}, which has "
            f"{loaded.shape.max_positions} positions; give a shorter one."
        )


def _texts(tokenizer: Any, prompt: str) -> tuple[str, ...]:
    """The prompt cut at the tokens' ends, so that white space is kept which some tokenizers leave out of offsets."""
    special = adds_special_tokens(tokenizer, prompt)  # as the ids were made
    texts, done = [], 0
    for _, end in tokens_of(tokenizer, prompt, special).offsets:
        texts.append(prompt[done:end])
        done = max(done, end)
    return tuple(texts)


def _select(loaded: LoadedModel, method: Method, ids: Sequence[int], seed: int, report: Report) -> Selection:
    method = with_own_profiles(method, loaded, report)
    with only_method(method):
        return evict_alone(loaded, ids, method, seed, n_sequence=len(ids)).selection
