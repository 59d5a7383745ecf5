"""Where files live on this machine."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder for what can be fetched or made again: models, archives, profiles.

    `LUKV_BENCH_CACHE` overrides the platform's own user cache folder.
    """
    override = os.environ.get("LUKV_BENCH_CACHE")
    return Path(override).absolute() if override else platformdirs.user_cache_path("lukv-bench")
