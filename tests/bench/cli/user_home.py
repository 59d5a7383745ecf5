"""A user's home, made in a folder of the tests."""

from pathlib import Path

import pytest


def furnish(folder: Path, real_model: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make a folder a user's home: cache (with the real model and archives linked in), data folder, working folder."""
    cache = folder / "cache"
    (cache / "models").mkdir(parents=True)
    (cache / "models" / real_model.name).symlink_to(real_model)
    if (wheels := real_model.parents[1] / "wheels").is_dir():
        (cache / "wheels").symlink_to(wheels)
    (folder / "work").mkdir()
    patch.setenv("LUKV_BENCH_CACHE", str(cache))
    patch.setenv("XDG_DATA_HOME", str(folder / "data"))
    patch.chdir(folder / "work")
    return folder
