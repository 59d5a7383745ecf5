"""HeadKV."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..scorers.base import CalibrationDocument, CalibrationReads
from .base import AllocationRequest, Needs
from .preferences import proportional_counts
from .retrieval_heads import check_scores, fitted_scores, scores_of


@dataclass(frozen=True)
class HeadKV:
    """Gives heads that retrieve a larger part, from a pool that every head pays into.

    n_(l,h) = b - b / beta + S_(l,h) x L x H x b / beta, with b the mean budget and S the heads' scores, which sum to 1

    Source: Fu et al., "Not All Heads Matter: A Head-Level KV Cache Compression Method with Integrated Retrieval and
    Reasoning", arXiv 2410.19258 (ICLR 2025), section 3.3; the budgets as in the authors' code, which divides and rounds
    whole tokens where the total is exact here.
    Differs from the paper: its scores come from needle tests in which the model reasons, with the attention to the
    right answer, and are published for a few models; here a head's score is the mean, over the tokens of a calibration
    document and over the documents, of the largest attention that a token gets while the model repeats the document.
    The authors score and evict each query head; here a KV head has the largest attention of its group. Their scores
    may be raised to a power, 1 by default, which is left out. Protected tokens come on top of each head's part and
    inside the budget; what a head has no tokens for goes to the others in equal parts.
    Not monotone: the parts grow with the budget, but rounding may take a slot from a head.

    Attributes:
        beta: Every head pays 1 / beta of its part into the pool; at least 1, the authors try 1.005 to 10.
        profile: A profile file; "" = the shipped or cached one for this model, made if missing.
    """

    beta: float = 1.2
    profile: str = ""

    source: ClassVar[str] = "arXiv 2410.19258 (ICLR 2025)"
    needs: ClassVar[Needs] = Needs.NOTHING
    monotone: ClassVar[bool] = False
    calibration: ClassVar[CalibrationReads] = CalibrationReads(replay=True, protected=False, arguments=False)

    def __post_init__(self) -> None:
        """Refuse a beta below 1."""
        if not 1 <= self.beta < float("inf"):
            raise ValueError(f"beta is a number of at least 1, not {self.beta}")

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """`score` float64 [L, H]: the mean of each head's replay."""
        return fitted_scores(documents, lambda replay: replay.mean(dim=-1))

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Raises ValueError where the arrays are not scores of this model's heads."""
        check_scores(arrays, n_layers, n_kv_heads)

    def allocate(self, request: AllocationRequest) -> Tensor:
        """int64 [len(layers), B, H]."""
        weights = scores_of(request).unsqueeze(1).expand(request.shape)
        return proportional_counts(request, weights, floor=1 - 1 / self.beta)
