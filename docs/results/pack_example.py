"""Write results as the example that comes with lukv-bench: python pack_example.py RESULTS.db EXAMPLE.db.xz."""

import lzma
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path


def pack(results: Path, packed: Path) -> None:
    """One compressed file that can be read anywhere: no WAL, no room of deleted rows, no file beside it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "example.db"
        with closing(sqlite3.connect(f"{results.resolve().as_uri()}?mode=ro", uri=True)) as source:
            source.execute("VACUUM INTO ?", (str(copy),))
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        packed.write_bytes(lzma.compress(copy.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
