"""DuoAttention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..scorers.base import CalibrationDocument, CalibrationReads
from .base import AllocationRequest, Needs, Note
from .retrieval_heads import check_scores, fitted_scores, scores_of


@dataclass(frozen=True)
class DuoAttention:
    """Lets some heads keep the whole context, and the others a few tokens.

    The heads with the highest scores keep all, as many as the budget allows; the head that is next keeps what is left;
    every other head keeps `streaming` tokens. Which ones is up to the scorer: with streaming_llm the first and the last
    ones, as in the paper.

    Source: Xiao et al., "DuoAttention: Efficient Long-Context LLM Inference with Retrieval and Streaming Heads", arXiv
    2410.10819 (ICLR 2025), section 2; scores as in KVzip's head-level form (arXiv 2505.23416, whose code takes each
    head's largest score over the tokens).
    Differs from the paper: its gates are trained on synthetic passkeys and published for a few models; here a head's
    score is the largest attention that any token of a calibration document gets while the model repeats it, the mean
    over the documents, and that of a KV head the largest of its group. The budget decides how many heads keep all, and
    not a share of the heads; streaming heads keep their tokens besides the protected ones (the authors keep 64 first
    and 256 last ones in contexts of 100,000 tokens). Where the budget is below that, every head is a streaming head
    with fewer tokens, and the answer records `streaming_heads_shortened`.
    Monotone: a larger budget never takes a slot from a head.

    Attributes:
        streaming: Tokens that a streaming head keeps besides the protected ones, at least 0.
        profile: A profile file; "" = the shipped or cached one for this model, made if missing.
    """

    streaming: int = 32
    profile: str = ""

    source: ClassVar[str] = "arXiv 2410.10819 (ICLR 2025)"
    needs: ClassVar[Needs] = Needs.NOTHING
    monotone: ClassVar[bool] = True
    calibration: ClassVar[CalibrationReads] = CalibrationReads(replay=True, protected=False, arguments=False)

    def __post_init__(self) -> None:
        """Refuse a number of tokens below 0."""
        if self.streaming < 0:
            raise ValueError(f"streaming is a number of tokens of at least 0, not {self.streaming}")

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """`score` float64 [L, H]: the largest of each head's replay."""
        return fitted_scores(documents, lambda replay: replay.amax(dim=-1))

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Raises ValueError where the arrays are not scores of this model's heads."""
        check_scores(arrays, n_layers, n_kv_heads)

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        order = scores_of(request).flatten().argsort(descending=True, stable=True)
        least = self._least(request)
        counts = torch.full((request.n_heads,), least)
        left = request.budget - request.n_heads * least
        if least < request.n_protected + self.streaming:
            counts[order[:left]] += 1
        else:
            n_whole, rest = divmod(left, max(request.n_tokens - least, 1))
            counts[order[:n_whole]] = request.n_tokens
            counts[order[n_whole : n_whole + 1]] += rest
        return counts.view(len(request.layers), 1, request.n_kv_heads).expand(request.shape).contiguous()

    def notes(self, request: AllocationRequest, counts: Tensor) -> tuple[Note, ...]:
        """An event if streaming heads keep fewer tokens than asked for, though the context has more."""
        served, asked = self._least(request), min(request.n_protected + self.streaming, request.n_tokens)
        if served == asked:
            return ()
        return ({"event": "streaming_heads_shortened", "asked": asked, "served": served},)

    def _least(self, request: AllocationRequest) -> int:
        """Tokens that a streaming head keeps, protected ones included."""
        return min(request.n_protected + self.streaming, request.budget // request.n_heads)
