"""Groups heads that keep similar shares, as servers with pages for several heads need them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ... import UserError

Scope = Literal["model", "layer"]
"""Where the heads of a group come from: any layers, or one."""


@dataclass(frozen=True)
class HeadGroups:
    """Every head in one column of one group.

    Attributes:
        group: int32 [L, H], the group of each head; groups of one layer follow each other in the scope "layer".
        column: int32 [L, H], its column there; columns follow layer and head, so that a layer's are contiguous.
        members: int32 [groups, size, 2], the (layer, head) of each column.
    """

    group: NDArray[np.int32]
    column: NDArray[np.int32]
    members: NDArray[np.int32]

    def waste(self, kept: NDArray[np.floating]) -> float:
        """The share of slots that hold nothing, if each group has room for its largest member in every column.

        Args:
            kept: [L, H], the share that each head keeps.
        """
        of_member = kept[self.members[..., 0], self.members[..., 1]]
        room = float(of_member.max(axis=1).sum()) * self.members.shape[1]
        return 1 - float(kept.sum()) / room if room else 0.0


def group_heads(kept: NDArray[np.floating], size: int, scope: Scope) -> HeadGroups:
    """Heads sorted by what they keep, most first and equal ones by layer and head, `size` to a group.

    Args:
        kept: [L, H], the share that each head keeps.
        size: Heads of a group.
        scope: Whether the heads are sorted over the model, or in each layer.

    Raises:
        UserError: the heads cannot be parted into groups of this size.
    """
    n_layers, n_heads = kept.shape
    n_together = n_layers * n_heads if scope == "model" else n_heads
    if size < 1 or n_together % size:
        where = f"{n_layers} x {n_heads} heads of the model" if scope == "model" else f"{n_heads} KV heads of a layer"
        raise UserError(
            f"the {where} cannot be parted into groups of {size}; give a --tangram-group that divides them."
        )
    order = np.argsort(-kept.reshape(-1, n_together), axis=1, kind="stable")
    heads = order + np.arange(len(order))[:, None] * n_together
    members = np.sort(heads.reshape(-1, size), axis=1)
    group, column = np.empty(kept.size, np.int32), np.empty(kept.size, np.int32)
    group[members] = np.arange(len(members), dtype=np.int32)[:, None]
    column[members] = np.arange(size, dtype=np.int32)
    places = np.stack(np.divmod(members, n_heads), axis=-1).astype(np.int32)
    return HeadGroups(group.reshape(kept.shape), column.reshape(kept.shape), places)
