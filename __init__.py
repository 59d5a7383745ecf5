"""lukv-bench: a benchmark and leaderboard suite for KV-cache eviction.

    import lukv_bench as lb

    model = lb.load("smollm2-135m")
    cache = model.evict(text, allocator="lukv", scorer="keydiff", ratio=0.8)
    answer = cache.generate("What is the key?")
    frame = lb.run(model=model, allocator=["lukv", "adakv"], ratio=[0.8, 0.9], db="x.db")
    frame = lb.read("x.db").cells()

The repository root is the package; each top-level folder is a room of it. This file stays light,
because every command imports it: what it offers is imported when it is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bench.api.evicted import EvictedContext
    from .bench.api.grid import Grid, run
    from .bench.api.model import Model, load
    from .bench.api.results import Results, read
    from .bench.errors import PluginError
    from .db.errors import StoreError

__version__ = "0.1.0"

RESULTS_VERSION = 1
"""Raised by hand when an answer may change for the same configuration. Part of every cell's id."""


class UserError(Exception):
    """What the user has to change: one sentence that says what was wrong and what to type instead.

    Raised by any room before work starts; the command line prints it and exits with 2.
    """


_MODULES = {
    "EvictedContext": "bench.api.evicted",
    "Grid": "bench.api.grid",
    "Model": "bench.api.model",
    "PluginError": "bench.errors",
    "Results": "bench.api.results",
    "StoreError": "db.errors",
    "load": "bench.api.model",
    "read": "bench.api.results",
    "run": "bench.api.grid",
}
"""Where the names of the Python API are defined."""

__all__ = [
    "RESULTS_VERSION",
    "EvictedContext",
    "Grid",
    "Model",
    "PluginError",
    "Results",
    "StoreError",
    "UserError",
    "__version__",
    "load",
    "read",
    "run",
]

if not TYPE_CHECKING:  # a type checker would take any name for defined

    def __getattr__(name: str) -> object:
        """Import a name of the Python API when it is used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_MODULES[name]}", __name__), name)

    def __dir__() -> list[str]:
        """The names of the Python API, imported or not."""
        return sorted({*globals(), *__all__})
