"""The plan of a store that grows."""

from dataclasses import dataclass

from torch import Tensor

from .plan import Plan, balanced
from .tiles import n_programs, tiles_for

DRIFT = 64
"""Tokens by which a segment may grow or shrink before its store is planned again. A longer segment adds them to one
program's share."""


@dataclass
class Schedule:
    """The last plan, and what it was made for.

    Attributes:
        plan: On the device; None = there was none yet.
        lengths: int64 [B, H] on the CPU, of the segments then.
        n_programs: Programs then.
    """

    plan: Plan | None = None
    lengths: Tensor | None = None
    n_programs: int = 0

    def current(self, lengths: Tensor, n_rows: int, keys: Tensor) -> Plan:
        """A plan on the keys' device that is good enough for present lengths.

        Args:
            lengths: int64 [B, H] on the CPU.
            n_rows: G x Q, query rows of a KV head.
            keys: [S, D].
        """
        tiles = tiles_for(keys.dtype, keys.shape[-1], n_rows)
        n = n_programs(keys.device, -(-n_rows // tiles.rows))
        if self.plan is None or n != self.n_programs or self._drifted(lengths):
            self.plan, self.lengths, self.n_programs = balanced(lengths, n).to(keys.device), lengths, n
        return self.plan

    def _drifted(self, lengths: Tensor) -> bool:
        then = self.lengths
        return then is None or then.shape != lengths.shape or int((lengths - then).abs().max()) > DRIFT
