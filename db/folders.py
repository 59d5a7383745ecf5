"""The user's folders on this machine."""

import os
from collections.abc import Callable
from pathlib import Path

from .. import UserError


def cache_folder() -> Path:
    """The folder for what can be fetched or made again: models, archives, profiles, the example results.

    `LUKV_BENCH_CACHE` overrides the platform's own user cache folder.

    Raises:
        UserError: there is neither, since the user has no home folder.
    """
    import platformdirs  # `make gpu-check` does without it

    override = os.environ.get("LUKV_BENCH_CACHE")
    if override:
        return Path(override).absolute()
    folder = user_folder(platformdirs.user_cache_dir, "lukv-bench")
    if folder is None:
        raise UserError("there is no home folder to keep models in; set LUKV_BENCH_CACHE to a folder.")
    return folder


def user_folder(folder_of: Callable[..., str], *names: object) -> Path | None:
    """One of platformdirs' folders; None where the user has no home folder to have it in."""
    try:
        folder = Path(folder_of(*names))
    except RuntimeError:  # newer versions' word for it
        return None
    return folder if folder.is_absolute() and "~" not in folder.parts else None
