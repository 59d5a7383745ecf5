"""The profiles that ship: of the default model, the built-in texts and the calibration as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.bench.profiles.obtain import obtain_profile
from lukv_bench.bench.profiles.owner import ProfileOwner
from lukv_bench.scorers.base import Protection


def must_not_calibrate(*_: Any) -> None:
    raise AssertionError("a shipped profile is stale: make it anew by the command in docs/howto/profiles.md")


def test_the_shipped_profiles_of_a_fitted_scorer_belong_together(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    scorer, protection = build("scorer", "kvzap"), build("scorer", "kvzap").instance.protection

    own = obtain_profile(ProfileOwner.of(scorer, None, protection, "scorer"), smollm2, must_not_calibrate)
    assert own.arrays["weights"].shape == (30, 3, 576)
    lukv = ProfileOwner.of(build("allocator", "lukv"), scorer, protection, profiles={"scorer": own})
    assert obtain_profile(lukv, smollm2, must_not_calibrate).arrays["curve"].shape == (99, 30, 3)


@pytest.mark.parametrize("protection", [Protection(4, 1), Protection(0, 32)])
def test_the_shipped_utility_serves_every_sink_and_window(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protection: Protection
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    owner = ProfileOwner.of(build("scorer", "calibrated_utility"), None, protection, "scorer")
    assert obtain_profile(owner, smollm2, must_not_calibrate).arrays["maps"].shape == (3, 30, 3, 586)


@pytest.mark.parametrize("spec", ["headkv", "duoattention", "headkv:beta=2", "duoattention:streaming=0"])
@pytest.mark.parametrize("protection", [Protection(4, 1), Protection(0, 32)])
def test_the_shipped_scores_of_heads_serve_every_argument_sink_and_window(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, protection: Protection
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    owner = ProfileOwner.of(build("allocator", spec), build("scorer", "keydiff"), protection)
    assert obtain_profile(owner, smollm2, must_not_calibrate).arrays["score"].shape == (30, 3)


SHIPPED = (
    *("keydiff", "knorm", "snapkv", "expected_attention", "tova", "streaming_llm", "h2o", "random"),
    *("cake", "calibrated_utility", "defensive", "dropkv", "kvzap", "kvzip", "laprox", "obcache", "critical:of=snapkv"),
)


@pytest.mark.parametrize("spec", SHIPPED)
def test_the_shipped_profiles_are_of_this_model_these_texts_and_this_calibration(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))

    scorer = build("scorer", spec)
    protection = scorer.instance.protection
    owner = ProfileOwner.of(build("allocator", "lukv"), scorer, protection)
    profile = obtain_profile(owner, smollm2, must_not_calibrate)
    curve = profile.arrays["curve"]
    assert curve.shape == (99, 30, 3)
    kept = 1 - torch.arange(1, 100) / 100
    torch.testing.assert_close(curve.mean(dim=(1, 2)), kept.double(), atol=1e-4, rtol=0)
    assert (curve.diff(dim=0) <= 1e-6).all(), "a larger prune ratio keeps nowhere more"


def test_every_built_in_scorer_has_a_shipped_profile() -> None:
    known = {known.name for known in describe_all("scorer") if known.distribution == "lukv-bench"}
    assert {spec.partition(":")[0] for spec in SHIPPED} == known - {"oracle"}, "which no profile can be fitted to"
