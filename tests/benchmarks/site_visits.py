from collections.abc import Callable, Iterator
from pathlib import Path


def visits(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield from ()
