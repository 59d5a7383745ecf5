"""Files that a figure is written to."""

from pathlib import Path

from ... import UserError
from .kinds import FIGURE
from .writable import check_file_place

FORMATS = (".png", ".svg", ".html")


def check_plot(path: Path) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        UserError: its name ends with no known format, or it cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f'--plot writes .png, .svg and .html files, not "{path.name}"; end its name with one of these.')
    check_file_place(path, "--plot", FIGURE)
