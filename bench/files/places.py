"""Where files live on this machine."""

import os
from pathlib import Path

import platformdirs

from ... import UserError
from ...db.places import user_folder


def cache_folder() -> Path:
    """The folder for what can be fetched or made again: models, archives, profiles.

    `LUKV_BENCH_CACHE` overrides the platform's own user cache folder.

    Raises:
        UserError: there is neither, since the user has no home folder.
    """
    override = os.environ.get("LUKV_BENCH_CACHE")
    if override:
        return Path(override).absolute()
    folder = user_folder(platformdirs.user_cache_dir, "lukv-bench")
    if folder is None:
        raise UserError("there is no home folder to keep models in; set LUKV_BENCH_CACHE to a folder.")
    return folder
