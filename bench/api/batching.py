"""How a grid's configurations of one sample decode."""

from typing import TYPE_CHECKING

from ... import UserError
from .grid import Grid
from .values import at_least_one

if TYPE_CHECKING:
    from ..models.load import LoadedModel
    from ..run.batching import Batching


def check_batching(grid: Grid) -> None:
    """Refuse a batch or a memory that cannot be.

    Raises:
        UserError: one is out of range, or they do not go together.
    """
    if not isinstance(grid.batch, str):
        at_least_one("--batch", grid.batch)
        if grid.max_memory is not None:
            raise UserError("--max-memory is for --batch auto; leave one of the two out.")
    if grid.fidelity and (grid.batch == 1 or not grid.drafts):
        option = "--no-drafts" if not grid.drafts else "--batch 1"
        raise UserError(f"--fidelity needs drafts, and {option} has none; leave one of the two out.")
    if grid.max_memory is not None and not 0 < grid.max_memory < 2**20:
        raise UserError(f"--max-memory takes a number of GiB such as 8, not {grid.max_memory:g}.")


def check_drafting(grid: Grid, loaded: "LoadedModel") -> None:
    """Refuse to compare answers of a model that drafts nothing.

    Raises:
        UserError: it has recurrent layers.
    """
    if grid.fidelity and loaded.shape.stateful:
        raise UserError(
            f"--fidelity needs drafts, and the recurrent layers of {loaded.name} cannot take them back; leave it out."
        )


def batching_of(grid: Grid) -> "Batching":
    """The batching of a checked grid. One by one, decoding is timed, so there are no drafts then."""
    from ..run.batching import Batching

    most = None if isinstance(grid.batch, str) else grid.batch
    max_memory = None if grid.max_memory is None else int(grid.max_memory * 2**30)
    return Batching(most, grid.drafts and most != 1, grid.fidelity, max_memory)
