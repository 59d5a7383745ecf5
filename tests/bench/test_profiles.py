"""Profiles as files, and the one that ships."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lukv_bench import UserError
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.profile_file import load_profile, profile_hash, save_profile
from lukv_bench.bench.profiles import check_profile, obtain_profile
from lukv_bench.bench.registry import build, describe_all
from lukv_bench.scorers.base import Profile, Protection


def made(**more: Any) -> Profile:
    curve = torch.rand(99, 2, 3, generator=torch.Generator().manual_seed(0))
    facts = {"model_revision": "r", "scorer": "keydiff", "scorer_arguments": {}, "scorer_code": None}
    return Profile("lukv", {"curve": curve}, facts | more, {"model": "m", "packages": {"torch": "1"}})


def test_a_profile_survives_its_file(tmp_path: Path) -> None:
    profile = made(note="naïve")
    save_profile(profile, tmp_path / "deep" / "p.safetensors")
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "deep" / "p.safetensors").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    again = load_profile(tmp_path / "deep" / "p.safetensors")
    assert again.kind == "lukv"
    assert dict(again.made) == dict(profile.made)
    assert torch.equal(again.arrays["curve"], profile.arrays["curve"])
    assert profile_hash(again) == profile_hash(profile)
    readable = json.loads((tmp_path / "deep" / "p.safetensors.json").read_text(encoding="utf-8"))
    assert readable["made"] == dict(profile.made)
    assert readable["notes"] == dict(again.notes) == dict(profile.notes)
    assert readable["hash"] == profile_hash(profile)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
def test_a_changed_byte_is_noticed(tmp_path: Path, at: float) -> None:
    path = tmp_path / "p.safetensors"
    save_profile(made(), path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"corrupt|not a profile"):
        load_profile(path)


def test_the_hash_covers_numbers_and_origin_but_not_the_circumstances() -> None:
    profile = made()
    assert profile_hash(dataclasses.replace(profile, notes={"packages": {"torch": "2"}})) == profile_hash(profile)
    other = dataclasses.replace(profile, arrays={"curve": profile.arrays["curve"] + 1e-6})
    assert len({profile_hash(p) for p in (profile, other, made(seed=1))}) == 3


SHIPPED = (
    *("keydiff", "knorm", "snapkv", "expected_attention", "tova", "streaming_llm", "h2o", "random"),
    "critical:of=snapkv",
)


@pytest.mark.parametrize("spec", SHIPPED)
def test_the_shipped_profiles_are_of_this_model_these_texts_and_this_calibration(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))

    def must_not_calibrate(*_: Any) -> None:
        raise AssertionError("the shipped profile is stale: make it anew by the command in docs/howto/profiles.md")

    scorer = build("scorer", spec)
    protection = scorer.instance.protection
    profile = obtain_profile(build("allocator", "lukv"), scorer, protection, smollm2, must_not_calibrate)
    curve = profile.arrays["curve"]
    assert curve.shape == (99, 30, 3)
    kept = 1 - torch.arange(1, 100) / 100
    torch.testing.assert_close(curve.mean(dim=(1, 2)), kept.double(), atol=1e-4, rtol=0)
    assert (curve.diff(dim=0) <= 1e-6).all(), "a larger prune ratio keeps nowhere more"


def test_every_built_in_scorer_has_a_shipped_profile() -> None:
    known = {known.name for known in describe_all("scorer") if known.distribution == "lukv-bench"}
    assert {spec.partition(":")[0] for spec in SHIPPED} == known


def test_a_profile_of_another_model_or_scorer_is_refused(smollm2: LoadedModel) -> None:
    lukv, keydiff = build("allocator", "lukv"), build("scorer", "keydiff")
    here = Path("p.safetensors")
    check_profile(made(model_revision=smollm2.revision), here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="made for another model"):
        check_profile(made(), here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="made for the scorer snapkv"):
        check_profile(made(model_revision=smollm2.revision, scorer="snapkv"), here, lukv, keydiff, smollm2)
    stranger = made(model_revision=smollm2.revision, scorer_code="stranger 1.0")
    with pytest.raises(UserError, match=r"made for the scorer keydiff stranger 1\.0, not for keydiff"):
        check_profile(stranger, here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="is a profile of headkv"):
        check_profile(dataclasses.replace(made(), kind="headkv"), here, lukv, keydiff, smollm2)


def test_a_missing_profile_is_made_once_and_then_found(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.bench import profiles
    from lukv_bench.bench.calibration.documents import Document

    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    text = "A lamp stands on the table of house nine, and a cat named Ottilie sleeps under it. " * 12
    monkeypatch.setattr(profiles, "built_in_documents", lambda: (Document("short", text, ("Who sleeps there?",)),))
    told: list[str] = []

    def report(doing: str, done: int, total: int) -> None:
        told.append(doing)

    lukv, keydiff = build("allocator", "lukv"), build("scorer", "keydiff")
    first = obtain_profile(lukv, keydiff, Protection(2, 3), smollm2, report)
    assert any("calibrating" in doing for doing in told)
    told.clear()
    again = obtain_profile(lukv, keydiff, Protection(2, 3), smollm2, report)
    assert told == []
    assert profile_hash(first) == profile_hash(again)
