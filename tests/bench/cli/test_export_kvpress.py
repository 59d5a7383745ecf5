"""`profile --export-kvpress`: what it writes is what kvpress needs to keep what `inspect` says we keep."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lukv_bench.bench.profiles.file import load_profile, save_profile

L, H = 2, 2


def counts(lukv_bench: Any, model: Path, profile: Path, *arguments: object) -> tuple[np.ndarray, int]:
    """Keep counts [L, H] of a text, and its tokens."""
    Path("context.txt").write_text("The keeper lit the lamp at nine and wrote it down. " * 12)
    lukv = ("--allocator", f"lukv:profile={profile}", "--out", "f.npz")
    ended = lukv_bench("inspect", "--model", model, "--context", "context.txt", *lukv, *arguments)
    assert ended.code == 0, ended.err
    with np.load("f.npz") as archive:
        return archive["counts"], len(archive["token_ids"])


def test_an_existing_profile_is_exported_without_a_model(lukv_bench: Any, tiny: Path, profile: Path) -> None:
    for ratio, protection in (("0.5", ()), ("0.8", ()), ("0.3", ("--sink", "9", "--window", "2"))):
        kept, n_tokens = counts(lukv_bench, tiny, profile, "--ratio", ratio, *protection)
        export = ("profile", "--from", profile, "--export-kvpress", "new/k.npy", "--export-length", n_tokens)
        ended = lukv_bench(*export, *protection)
        assert ended.code == 0, ended.err
        sink, window = (9, 2) if protection else (4, 1)
        assert f"new/k.npy: exact for {n_tokens} tokens, sink={sink}, window={window}" in ended.err
        ratios = np.load("new/k.npy")
        assert ratios.shape == (99, L, H)
        assert ((1 - ratios[round(float(ratio) * 100) - 1]) * n_tokens).round().tolist() == kept.tolist()


def test_a_profile_is_made_and_exported_in_one_command(lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]) -> None:
    make = ("profile", "--model", tiny, "--text", texts[0], "--questions", texts[1], "--out", "p.safetensors")
    ended = lukv_bench(*make, "--export-kvpress", "k.npy")
    assert ended.code == 0, ended.err
    again = lukv_bench("profile", "--from", "p.safetensors", "--export-kvpress", "again.npy")
    assert again.code == 0, again.err
    assert Path("k.npy").read_bytes() == Path("again.npy").read_bytes()
    assert "exact for 4096 tokens" in again.err


def test_ratios_that_cannot_be_served_are_said(lukv_bench: Any, profile: Path) -> None:
    ended = lukv_bench("profile", "--from", profile, "--export-kvpress", "k.npy", "--export-length", "100")
    assert ended.code == 0, ended.err
    bad = np.isnan(np.load("k.npy")).all(axis=(1, 2))
    first = int(bad.argmax()) + 1
    assert not bad[: first - 1].any()
    assert bad[first - 1 :].all()
    assert f"NaN from a ratio of {first / 100:.2f} on" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("profile --from {profile}", ("--export-kvpress",)),
        ("profile --export-kvpress k.npy", ("--out", "--from")),
        ("profile --from {profile} --export-kvpress k.npy --scorer keydiff", ("--scorer", "--from")),
        ("profile --from {profile} --export-kvpress k.npy --out p.safetensors", ("--out", "--from")),
        ("profile --from {profile} --export-kvpress k.npy --export-length 0", ("--export-length", "0")),
        ("profile --from {profile} --export-kvpress k.npy --export-length 4", ("4 tokens",)),
        ("profile --from {profile} --export-kvpress k.npy --export-length 20000000", ("--export-length", "16777216")),
        ("profile --from {profile} --export-kvpress k.npy --sink -1", ("--sink", "-1")),
        ("profile --from none.safetensors --export-kvpress k.npy", ("none.safetensors",)),
        ("profile --from {profile} --export-kvpress .", ("--export-kvpress", "folder")),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Any, profile: Path, arguments: str, words: tuple[str, ...]) -> None:
    refused([word.format(profile=profile) for word in arguments.split()], *words)


def test_a_profile_that_lukv_cannot_have_made_is_not_exported(refused: Any, profile: Path) -> None:
    loaded = load_profile(profile)
    for value in (0.0, -1.0, 1e30):
        arrays = {"curve": torch.full_like(loaded.arrays["curve"], value)}
        save_profile(dataclasses.replace(loaded, arrays=arrays), Path("bad.safetensors"))
        refused(["profile", "--from", "bad.safetensors", "--export-kvpress", "k.npy"], "cannot be exported", "curve")


def test_a_profile_that_does_not_say_its_protection_is_not_guessed(
    lukv_bench: Any, refused: Any, profile: Path
) -> None:
    save_profile(dataclasses.replace(load_profile(profile), made={}), Path("mute.safetensors"))
    command = ["profile", "--from", "mute.safetensors", "--export-kvpress", "k.npy"]
    refused(command, "does not say the sink", "--sink N")
    assert lukv_bench(*command, "--sink", 4, "--window", 1).code == 0
