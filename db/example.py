"""The example results that come with lukv-bench: shown until the user has results of their own."""

import lzma
import os
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from sqlalchemy import URL

from .. import UserError
from .folders import cache_folder
from .named import named_file
from .places import real_path
from .urls import resolve_url

SITE_DATABASE = "LUKV_BENCH_SITE_DATABASE"
"""Environment variable with the site's database; without it the site looks for the user's own results. As an argument,
a password would be visible to all users."""

PACKED = Path(__file__).resolve().parents[1] / "leaderboard" / "example.db.xz"
"""A SQLite database, compressed. `docs/results/example.sh` makes it."""


def shown_url(text: str | None) -> tuple[URL, bool]:
    """The database to look at for `--db TEXT`, and whether it is the example, which stands in for a missing text.

    Raises:
        UserError: the text names no database, or the example cannot be unpacked.
    """
    own = named_file(text) if text is None else None
    if own is not None and not real_path(own).exists():
        return URL.create("sqlite", database=str(example_file())), True
    return resolve_url(text), False


@cache
def example_file() -> Path:
    """The example as a file, unpacked once into the cache folder, or where that cannot be written, once per process.

    Raises:
        UserError: there is no place to unpack it to.
    """
    packed = PACKED.read_bytes()
    name = f"example-{sha256(packed).hexdigest()[:16]}.db"
    try:
        return _unpacked(packed, cache_folder() / name)
    except (OSError, UserError):
        pass
    try:
        return _unpacked(packed, Path(tempfile.mkdtemp(prefix="lukv-bench-")) / name)
    except OSError as error:
        raise UserError(
            f"the example results cannot be unpacked ({error.strerror}); set LUKV_BENCH_CACHE to a folder, or name a "
            "database with --db."
        ) from error


def _unpacked(packed: bytes, file: Path) -> Path:
    """Write the file unless it is there, whole or not at all."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            beside = Path(scratch) / file.name
            beside.write_bytes(lzma.decompress(packed))
            os.replace(beside, file)
    return file
