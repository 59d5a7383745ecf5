"""The oracle scorer: the sample's own future."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import LayerView, Protection, Reads


@dataclass(frozen=True)
class Oracle:
    """A ceiling: ranks tokens by the attention that the question and the reference answer will pay to them.

    score_j = max over the query heads of the group and over the rows of the question and the reference answer of
        A_j * ||W_O v_j||, the norms divided by their sum over the heads and tokens of the layer

    The rows are those of every token of the question, and of the reference but the last. The reference is fed, so what
    they attend to does not depend on the model's own answer. No cache could know it: this is an oracle, shown beside
    methods and ranked nowhere.

    Source: the oracle importance of Tang et al., "Predicting Future KV Utility", arXiv 2602.08585, section 3.
    Differs from the paper: the question's rows count too, without which its answers are worse, and the answer is the
    reference, not the model's own, sampled.
    It is a ceiling of LU-KV's measure, not of the score.
    """

    source: ClassVar[str] = "arXiv 2602.08585 (ICML 2026), on the sample itself"
    reads: ClassVar[Reads] = Reads(future=True)
    protection: ClassVar[Protection] = Protection(sink=4, window=1)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T]."""
        if layer.future is None:
            raise ValueError("the oracle was given no future")
        return layer.future
