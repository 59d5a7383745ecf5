"""`profile --export-tangram`: a cluster map of the heads that a profile has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lukv_bench.bench.profiles.file import load_profile

KEYS = {"cluster_of", "column_of", "cluster_members", "rank_score", "page_group_size", "base_ratio", "meta"}


@pytest.mark.parametrize(("scope", "name"), [("model", "global"), ("layer", "per_layer")])
def test_a_profile_becomes_a_cluster_map(lukv_bench: Any, profile: Path, scope: str, name: str) -> None:
    ended = lukv_bench(
        *("profile", "--from", profile, "--export-tangram", "new/map.npz"),
        *("--tangram-group", 2, "--tangram-kept", 40, "--tangram-scope", scope),
    )
    assert ended.code == 0, ended.err
    assert "new/map.npz: 2 groups of 2 heads" in ended.err
    with np.load("new/map.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    assert arrays.keys() == KEYS
    at_40_percent = load_profile(profile).arrays["curve"][59].float().numpy()
    np.testing.assert_array_equal(arrays["rank_score"], at_40_percent)
    assert int(arrays["page_group_size"]) == 2
    meta = json.loads(bytes(arrays["meta"]))
    assert (meta["cluster_scope"], meta["page_group_size"], meta["num_kv_heads"]) == (name, 2, 2)
    assert meta["base_ratio"] == pytest.approx(float(arrays["base_ratio"]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--out p.safetensors --export-tangram m.npz", ("--export-tangram", "--from")),
        ("--from {profile} --export-tangram m.npz --tangram-group 3", ("2 x 2 heads", "--tangram-group")),
        ("--from {profile} --export-tangram m.npz --tangram-group 0", ("--tangram-group", "at least 1")),
        ("--from {profile} --export-tangram m.npz --tangram-kept 100", ("--tangram-kept", "1 to 99")),
        ("--from {profile} --export-tangram m.npz --tangram-scope head", ("--tangram-scope", "model or layer")),
        ("--from {profile} --export-kvpress m.npy --tangram-group 2", ("--tangram-group", "--export-tangram")),
        ("--from {profile} --export-tangram m.npz --export-length 9", ("--export-length", "--export-kvpress")),
        ("--from {profile} --export-tangram {profile}", ("--from", "--export-tangram", "same file")),
        ("--from {profile} --export-kvpress m --export-tangram m", ("same file",)),
    ],
)
def test_what_cannot_be_exported_is_said(refused: Any, profile: Path, arguments: str, words: tuple[str, ...]) -> None:
    refused(["profile", *(word.format(profile=profile) for word in arguments.split())], *words)
    assert not list(Path().glob("m*"))
