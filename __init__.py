"""lukv-bench: a benchmark and leaderboard suite for KV-cache eviction.

The repository root is the package; each top-level folder is a room of it. This file stays light,
because every command imports it.
"""

__version__ = "0.1.0"

RESULTS_VERSION = 1
"""Raised by hand when an answer may change for the same configuration. Part of every cell's id."""


class UserError(Exception):
    """What the user has to change: one sentence that says what was wrong and what to type instead.

    Raised by any room before work starts; the command line prints it and exits with 2.
    """
