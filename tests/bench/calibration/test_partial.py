"""A calibration that was interrupted is gone on from."""

import dataclasses
import os
import time
from pathlib import Path

import pytest
import torch

from lukv_bench.bench.calibration.calibrate import MAX_NEW_TOKENS, calibrate
from lukv_bench.bench.calibration.partial import ABANDONED_S, Partial
from lukv_bench.bench.models.load import LoadedModel

from .letters import DOCUMENT, TARGETS, silent


def test_what_an_interrupt_left_is_gone_on_from_and_answers_the_same(loaded: LoadedModel, tmp_path: Path) -> None:
    other = dataclasses.replace(DOCUMENT, name="dog", text=DOCUMENT.text[::-1])
    whole = calibrate(loaded, TARGETS, [DOCUMENT, other], 0, silent)
    partial = Partial(tmp_path / "deep", "k" * 64)
    read: list[str] = []

    def interrupted(doing: str, done: int, _total: int) -> None:
        read.append(doing)
        if "on dog" in doing and done > MAX_NEW_TOKENS + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(loaded, TARGETS, [DOCUMENT, other], 0, interrupted, partial)
    read.clear()
    resumed = calibrate(loaded, TARGETS, [DOCUMENT, other], 0, lambda doing, *_: read.append(doing), partial)
    assert not [doing for doing in read if "on fox" in doing], "the first text is not read again"
    for name, documents in whole.items():
        for before, after in zip(documents, resumed[name], strict=True):
            assert torch.equal(before.importance, after.importance)
            assert torch.equal(before.scores, after.scores)
            assert torch.equal(before.protected, after.protected)
    partial.clear()
    assert list(partial.folder.iterdir()) == []


def test_what_other_calibrations_left_long_ago_is_let_go_of(tmp_path: Path) -> None:
    partial = Partial(tmp_path, "k" * 64)
    old = time.time() - ABANDONED_S - 1
    for name in (f"{'k' * 16}-a.safetensors", f"{'o' * 16}-a.safetensors", "notes.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / f"{'n' * 16}-a.safetensors").touch()
    partial.clear_abandoned()
    assert {path.name[0] for path in tmp_path.iterdir()} == {"k", "n"}
    Partial(tmp_path / "not there", "k" * 64).clear_abandoned()


def test_a_damaged_or_foreign_partial_is_not_used(loaded: LoadedModel, tmp_path: Path) -> None:
    partial = Partial(tmp_path, "k" * 64)
    calibrate(loaded, {"wide": TARGETS["wide"]}, [DOCUMENT], 0, silent, partial)
    both = calibrate(loaded, TARGETS, [DOCUMENT], 0, silent, partial)
    assert both.keys() == TARGETS.keys()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again = calibrate(loaded, TARGETS, [DOCUMENT], 0, silent, partial)
    assert torch.equal(again["wide"][0].importance, both["wide"][0].importance)
