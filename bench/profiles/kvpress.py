"""Writes LU-KV profiles in kvpress's format."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ...allocators.lukv import check_curve
from ...allocators.lukv_export import kvpress_ratios
from ...scorers.base import Profile, Protection
from ..files.access import write_whole

LONGEST = 2**24
"""Longest context in tokens: kvpress counts in float32, which represents integers exactly up to here."""


def protection_of(profile: Profile, sink: int | None, window: int | None) -> Protection:
    """The user's sink and window, or those of the profile.

    Raises:
        UserError: the profile does not record them.
    """
    return Protection(
        _own(profile, "sink") if sink is None else sink, _own(profile, "window") if window is None else window
    )


def _own(profile: Profile, name: str) -> int:
    value = profile.made.get(name)
    if type(value) is not int or not 0 <= value < 2**31:
        raise UserError(f"the profile does not say the {name} it was made for; give --{name} N.")
    return value


def check_length(n_tokens: int, protection: Protection) -> None:
    """Refuse a length at which no ratio can be served, before a profile is made for it.

    Raises:
        UserError: even at 1% pruned a head would keep fewer tokens than are protected, or kvpress cannot count so far.
    """
    if n_tokens > LONGEST:
        raise UserError(f"--export-length {n_tokens} is more than kvpress can count; give at most {LONGEST}.")
    n_protected = int(protection.mask(n_tokens).sum())
    if n_tokens * 99 // 100 < max(n_protected, 1):
        raise UserError(
            f"no ratio can be served over {n_tokens} tokens with {n_protected} of them protected; give a greater "
            "--export-length, or a smaller --sink and --window."
        )


def write_kvpress(profile: Profile, path: Path, n_tokens: int, protection: Protection) -> str:
    """Write a NumPy file; returns a message on where it is exact.

    Raises:
        UserError: it is not a profile of LU-KV, the length serves no ratio, or the file cannot be written.
    """
    if profile.kind != "lukv":
        raise UserError(f"kvpress's format holds profiles of lukv, and this is one of {profile.kind}.")
    check_length(n_tokens, protection)
    try:
        check_curve(profile.arrays)
    except ValueError as error:
        raise UserError(f"the profile cannot be exported: {error}; make another with `lukv-bench profile`.") from error
    ratios = kvpress_ratios(profile, n_tokens, protection)
    write_whole(path, "--export-kvpress", lambda place: _save(place, ratios))
    refused = int(np.isnan(ratios).any(axis=(1, 2)).sum())
    message = f"wrote {path}: exact for {n_tokens} tokens, sink={protection.sink}, window={protection.window}"
    if refused:
        message += f"; NaN from a ratio of {(100 - refused) / 100:.2f} on, which lukv cannot serve at that length"
    if (ratios == 1).any():
        message += "; kvpress keeps one token in heads that lukv leaves empty"
    return message


def _save(path: Path, ratios: NDArray[np.float64]) -> None:
    with path.open("wb") as file:  # given a path, NumPy would add a suffix
        np.save(file, ratios, allow_pickle=False)
