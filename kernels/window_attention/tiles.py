"""Sizes of the tiles of window attention."""

from dataclasses import dataclass

from ..work import power_of_two


@dataclass(frozen=True)
class Tiles:
    """Sizes of the blocks that one program holds.

    Attributes:
        rows: Rows of a block, each a query of a query head; at least 16, which a dot product needs.
        window: Rows that belong to one query head; the window is cut into parts of so many queries.
        tokens: Tokens of a tile of keys.
        warps: Of a program.
    """

    rows: int
    window: int
    tokens: int
    warps: int

    @classmethod
    def for_card(cls, itemsize: int, dim: int, group: int, n_window: int, *, capped: bool = False) -> "Tiles":
        """The queries of a whole group in one block where they fit, so that keys are read once.

        128 rows in half precision, where tensor cores multiply. In float32 every thread holds its rows' operands in
        registers: few rows and many threads, or they spill; capped logits of few rows, too, take fewer tokens.
        """
        most = (128 if dim <= 128 else 64) if itemsize == 2 else 32
        window = min(power_of_two(n_window), most)
        rows = max(16, min(most, window * power_of_two(group)))
        tokens = (64 if dim <= 128 else 32) if itemsize == 2 else (32 if dim <= 64 else 16)
        if capped and rows == 16:
            tokens = min(tokens, 32)
        return cls(rows, window, tokens, warps=8 if rows > 64 or (itemsize == 4 and dim > 64) else 4)

    def parts(self, n_window: int) -> int:
        """Parts of the window."""
        return -(-n_window // self.window)

    def blocks(self, group: int, n_window: int) -> int:
        """Row blocks of a group's queries: query heads by parts of the window."""
        return -(-group // (self.rows // self.window)) * self.parts(n_window)
