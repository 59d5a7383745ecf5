"""Profiles as files, and the one that ships."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import save_file

from lukv_bench import UserError
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.bench.calibration.documents import Document
from lukv_bench.bench.errors import PluginError
from lukv_bench.bench.methods.budget import parse_budgets
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.profiles import MethodProfiles
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.plugins.plugin import Description, Plugin
from lukv_bench.bench.plugins.registry import build
from lukv_bench.bench.profiles import fit as fit_module
from lukv_bench.bench.profiles import obtain as profiles
from lukv_bench.bench.profiles.check import check_profile
from lukv_bench.bench.profiles.file import load_profile, profile_hash, save_profile, storable_arrays
from lukv_bench.bench.profiles.obtain import making, obtain_profile
from lukv_bench.bench.profiles.owner import ProfileOwner
from lukv_bench.bench.record.hashing import content_hash
from lukv_bench.bench.run.plan import _obtain_profiles
from lukv_bench.scorers.base import Profile, Protection


def made(**more: Any) -> Profile:
    curve = (1 - torch.arange(1, 100) / 100).view(-1, 1, 1).repeat(1, 30, 3)
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


def made_here(loaded: LoadedModel, **more: Any) -> Profile:
    """As a profile of LU-KV over keydiff says it was made for a model."""
    facts = {"model_revision": loaded.revision, "arguments": {}, "allocator_code": None}
    return made(**facts | {"chat_template": content_hash(loaded.tokenizer.chat_template)[:12]} | more)


def over_keydiff(spec: str = "lukv") -> ProfileOwner:
    """An allocator over keydiff."""
    return ProfileOwner.of(build("allocator", spec), build("scorer", "keydiff"), Protection(2, 3))


def test_a_profile_of_another_model_or_scorer_is_refused(smollm2: LoadedModel) -> None:
    owner = over_keydiff()
    path = Path("p.safetensors")
    check_profile(made_here(smollm2), path, owner, smollm2)
    with pytest.raises(UserError, match="made for another model"):
        check_profile(made(), path, owner, smollm2)
    with pytest.raises(UserError, match="made for the scorer snapkv"):
        check_profile(made(model_revision=smollm2.revision, scorer="snapkv"), path, owner, smollm2)
    stranger = made(model_revision=smollm2.revision, scorer_code="stranger 1.0")
    with pytest.raises(UserError, match=r"made for the scorer keydiff stranger 1\.0, not for keydiff"):
        check_profile(stranger, path, owner, smollm2)
    with pytest.raises(UserError, match="is a profile of headkv"):
        check_profile(dataclasses.replace(made(), kind="headkv"), path, owner, smollm2)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"arguments": {"flatten": 0.5}}, r"other arguments of lukv \(\{'flatten': 0\.5\}, here none\)"),
        ({"allocator_code": "stranger 1.0"}, r"other code of lukv \(stranger 1\.0, here none\)"),
        ({"chat_template": "0123456789ab"}, r"another chat template \(0123456789ab, here [0-9a-f]{12}\)"),
    ],
)
def test_a_named_profile_made_in_another_way_is_refused_and_told_how(
    smollm2: LoadedModel, tmp_path: Path, other: dict[str, Any], words: str
) -> None:
    path = tmp_path / "p.safetensors"
    save_profile(made_here(smollm2, **other), path)
    with pytest.raises(UserError, match=words) as refusal:
        obtain_profile(over_keydiff(f"lukv:profile={path}"), smollm2, no_report)
    assert "\n" not in str(refusal.value)


def no_report(*_: Any) -> None:
    """Whom progress does not interest."""


@pytest.mark.parametrize("kept", [(), ("model_revision",), ("model_revision", "scorer", "scorer_arguments")])
def test_a_foreign_file_that_does_not_say_what_it_is_for_is_refused(
    smollm2: LoadedModel, tmp_path: Path, kept: tuple[str, ...]
) -> None:
    profile = made_here(smollm2)
    path = tmp_path / "p.safetensors"
    save_profile(dataclasses.replace(profile, made={name: profile.made[name] for name in kept}, notes={}), path)
    with pytest.raises(UserError, match="was made "):
        obtain_profile(over_keydiff(f"lukv:profile={path}"), smollm2, no_report)


class Fitting:
    """An allocator that fits what a test says."""

    def __init__(self, fitted: Any) -> None:
        self._fitted = fitted

    def fit(self, documents: Any) -> Any:
        return self._fitted


@pytest.fixture
def fit(smollm2: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Profile]:
    """A profile of what a stranger's `fit` returned; nothing is calibrated."""
    monkeypatch.setattr(profiles, "calibrate", lambda loaded, targets, *_: dict.fromkeys(targets, ()))
    keydiff = build("scorer", "keydiff")

    def made_of(fitted: Any) -> Profile:
        stranger = Plugin(Description("allocator", "stranger"), Fitting(fitted))
        owner = ProfileOwner.of(stranger, keydiff, Protection(2, 3))
        with making({"keydiff": owner}, smollm2, (), 0, no_report) as profiles:
            return profiles["keydiff"]

    return made_of


FITTED = torch.linspace(0, 1, 12, dtype=torch.float64).view(3, 4)


@pytest.mark.parametrize(
    "fitted",
    [
        {"a": FITTED.bfloat16(), "b": FITTED.half(), "c": FITTED.to(torch.float8_e4m3fn), "d": FITTED > 0.5},
        {"aliased": FITTED, "same": FITTED, "turned": FITTED.T, "every_second": FITTED[:, ::2]},
        {"learnt": FITTED.clone().requires_grad_(), "number": torch.tensor(3.0), "none": torch.empty(0, 2)},
        {},
    ],
    ids=["dtypes", "aliased", "learnt", "empty"],
)
def test_any_finite_tensors_that_a_stranger_fits_survive_their_file(
    fit: Callable[[Any], Profile], tmp_path: Path, fitted: dict[str, torch.Tensor]
) -> None:
    profile = fit(fitted)
    save_profile(profile, tmp_path / "p.safetensors")
    again = load_profile(tmp_path / "p.safetensors")
    assert again.arrays.keys() == fitted.keys()
    for name, array in fitted.items():
        assert again.arrays[name].dtype == array.dtype
        assert torch.equal(again.arrays[name].double(), array.detach().double())
        assert not profile.arrays[name].requires_grad
    assert profile_hash(again) == profile_hash(profile)


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        (None, "returned NoneType, not a mapping"),
        ([FITTED], "returned list, not a mapping"),
        ({"curve": [1.0, 2.0]}, "returned list as 'curve'"),
        ({3: FITTED}, "returned Tensor as 3"),
        ({"curve": FITTED.log()}, "'curve' holds numbers that are not finite"),
        ({"curve": FITTED.to_sparse()}, "fitting a profile of stranger failed"),
        ({"curve": FITTED.to("meta")}, "fitting a profile of stranger failed"),
    ],
    ids=["nothing", "list", "numbers", "nameless", "infinite", "sparse", "nowhere"],
)
def test_what_no_profile_can_hold_is_the_plugins_failure(
    fit: Callable[[Any], Profile], fitted: Any, words: str
) -> None:
    with pytest.raises(PluginError, match=words):
        fit(fitted)


FAILED = (
    r"^fitting a profile of stranger failed: "
    r"(it tried to end the program \(3\)|MemoryError|ValueError: two lines) \(.*test_profiles\.py:\d+\)$"
)


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), ValueError("two\nlines")])
def test_a_fit_that_raises_anything_is_one_sentence(
    fit: Callable[[Any], Profile], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def raises(self: Fitting, documents: Any) -> NoReturn:
        raise error

    monkeypatch.setattr(Fitting, "fit", raises)
    with pytest.raises(PluginError, match=FAILED):
        fit(None)


def test_a_fit_that_returns_nonsense_costs_its_own_method_only(cache: "Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "storable_arrays", storable_arrays)
    monkeypatch.setattr(LUKV, "fit", lambda self, documents: [1, 2])
    asked = build_methods(["lukv", "uniform"], ["keydiff", "snapkv"], parse_budgets(["0.5"], []), 2, 3, baselines=False)
    found = _obtain_profiles(asked, MethodProfiles(cache.loaded, no_report))
    failed = {label.split()[0] for label, failure in found.items() if "returned list" in str(failure)}
    unfitted = {label.split()[0] for label, profiles in found.items() if profiles == {}}
    assert (len(found), failed, unfitted) == (4, {"lukv"}, {"uniform"})


def test_what_a_profile_holds_is_not_what_the_plugin_goes_on_writing_to(fit: Callable[[Any], Profile]) -> None:
    own = FITTED.clone()
    profile = fit({"curve": own})
    own.zero_()
    assert torch.equal(profile.arrays["curve"], FITTED)


class Cache:
    """A cache folder of its own, and how often a profile was made for it."""

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        self.folder, self.loaded, self.n_made = folder / "profiles", loaded, 0

    def obtain(self, dtype: str = "float32", protection: Protection = Protection(2, 3)) -> Profile:  # noqa: B008
        loaded = dataclasses.replace(self.loaded, dtype=dtype)
        return obtain_profile(dataclasses.replace(over_keydiff(), protection=protection), loaded, self._count)

    def _count(self, doing: str, done: int, total: int) -> None:
        self.n_made += doing.startswith("fitting")


@pytest.fixture
def cache(smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(profiles, "calibrate", lambda loaded, targets, *_: dict.fromkeys(targets, ()))
    monkeypatch.setattr(fit_module, "storable_arrays", lambda fitted: dict(made().arrays))
    monkeypatch.setattr(LUKV, "fit", lambda self, documents: None)
    return Cache(tmp_path, smollm2)


def test_other_files_in_the_cache_folder_stop_no_run(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cache.folder.mkdir()
    for name in ("a.safetensors", "lukv-keydiff-6eff6302-00000000.safetensors", "z.safetensors"):
        (cache.folder / name).write_bytes(b"half a downlo")
    (cache.folder / "b.safetensors").mkdir()
    cache.obtain()
    cache.obtain()
    assert cache.n_made == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("keep", [0, 0.5, 0.95])
def test_a_damaged_profile_in_the_cache_is_told_and_made_anew(
    cache: Cache, capsys: pytest.CaptureFixture[str], keep: float
) -> None:
    first = cache.obtain()
    (path,) = cache.folder.glob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert profile_hash(cache.obtain()) == profile_hash(first)
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert "made again" in line
    assert profile_hash(load_profile(path)) == profile_hash(first)
    cache.obtain()
    assert cache.n_made == 2


def test_a_cached_profile_serves_only_the_dtype_it_was_calibrated_in(cache: Cache) -> None:
    in_bfloat16, in_float32 = cache.obtain("bfloat16"), cache.obtain()
    assert cache.n_made == 2
    assert in_bfloat16.made["dtype"] == "bfloat16"
    assert "dtype" not in in_float32.made, "profiles that were made before stay valid"
    assert (cache.obtain("bfloat16").made, cache.obtain().made) == (in_bfloat16.made, in_float32.made)
    assert cache.n_made == 2


def test_the_shipped_profile_serves_every_dtype(cache: Cache, smollm2: LoadedModel) -> None:
    protection = build("scorer", "keydiff").instance.protection
    shipped = cache.obtain("bfloat16", protection)
    assert cache.n_made == 0
    assert profile_hash(shipped) == profile_hash(cache.obtain("float32", protection))


def test_a_missing_profile_is_made_once_and_then_found(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    text = "A lamp stands on the table of house nine, and a cat named Ottilie sleeps under it. " * 12
    monkeypatch.setattr(profiles, "built_in_documents", lambda: (Document("short", text, ("Who sleeps there?",)),))
    told: list[str] = []

    def report(doing: str, done: int, total: int) -> None:
        told.append(doing)

    first = obtain_profile(over_keydiff(), smollm2, report)
    assert any("calibrating" in doing for doing in told)
    told.clear()
    again = obtain_profile(over_keydiff(), smollm2, report)
    assert told == []
    assert profile_hash(first) == profile_hash(again)


CURVE = (1 - torch.arange(1, 100, dtype=torch.float64) / 100).view(-1, 1, 1).repeat(1, 30, 3)


def changed(at: tuple[int, ...], value: float) -> torch.Tensor:
    curve = CURVE.clone()
    curve[at] = value
    return curve


WRONG = {
    "zeros": ({"curve": torch.zeros_like(CURVE)}, r"keeps 0\.0000 of all tokens where it prunes 1%"),
    "negative": ({"curve": -CURVE}, "shares reach from -0.99"),
    "huge": ({"curve": torch.full_like(CURVE, 1e30)}, "shares reach from 1e\\+30"),
    "above one": ({"curve": changed((0, 0, 0), 1.5)}, "between 0 and 1"),
    "rising": ({"curve": changed((50, 1, 2), 0.9)}, "keeps more at a larger prune ratio"),
    "too much": ({"curve": CURVE.clamp(min=0.5)}, "of all tokens where it prunes"),
    "another model's": ({"curve": CURVE[:, :12]}, r"shape \[99, 12, 3\], not \[99, 30, 3\]"),
    "flat": ({"curve": CURVE[:, :, 0]}, "shape"),
    "whole numbers": ({"curve": CURVE.round().long()}, "not finite|keeps"),
    "another name": ({"curves": CURVE}, "not one array named curve"),
    "more": ({"curve": CURVE, "b": CURVE.clone()}, "not one array named curve"),
    "nothing": ({}, "holds nothing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_named_profile_that_lukv_cannot_have_fitted_is_refused(
    smollm2: LoadedModel, tmp_path: Path, name: str
) -> None:
    arrays, words = WRONG[name]
    path = tmp_path / "p.safetensors"
    save_profile(dataclasses.replace(made_here(smollm2), arrays=arrays), path)
    with pytest.raises(UserError, match=words):
        obtain_profile(over_keydiff(f"lukv:profile={path}"), smollm2, no_report)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_file_whose_numbers_are_not_finite_is_no_profile(tmp_path: Path, value: float) -> None:
    save_profile(dataclasses.replace(made(), arrays={"curve": changed((3, 0, 0), value)}), tmp_path / "p.safetensors")
    with pytest.raises(UserError, match=r"not a profile .*'curve' holds numbers that are not finite"):
        load_profile(tmp_path / "p.safetensors")


def test_a_pipe_and_a_header_that_never_ends_are_no_profiles(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a regular file"):
        load_profile(tmp_path / "pipe")
    deep = {"kind": "lukv", "hash": "x", "notes": "{}", "made": "[" * 100_000}
    save_file({"curve": CURVE}, tmp_path / "deep.safetensors", deep)
    with pytest.raises(UserError, match="is not a profile"):
        load_profile(tmp_path / "deep.safetensors")


class Verified(Fitting):
    """A stranger's allocator that says what its arrays must be."""

    def check_profile(self, arrays: Any, n_layers: int, n_kv_heads: int) -> None:
        if arrays["heads"].shape != (n_layers, n_kv_heads):
            raise ValueError(f"a share for each of {n_layers} x {n_kv_heads} heads")


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        ({"heads": torch.ones(30, 2)}, "a share for each of 30 x 3 heads"),
        ({"other": torch.ones(30, 3)}, "'heads'"),
        ({"heads": torch.ones(1).expand(10**9, 10)}, "GiB, and a profile holds at most 1 GiB"),
    ],
)
def test_a_strangers_fit_is_held_to_its_own_check_and_to_a_size(
    fit: Callable[[Any], Profile], monkeypatch: pytest.MonkeyPatch, fitted: Any, words: str
) -> None:
    monkeypatch.setattr(Fitting, "check_profile", Verified.check_profile, raising=False)
    assert fit({"heads": torch.ones(30, 3)}).kind == "stranger"
    with pytest.raises(PluginError, match=f"fitting a profile of stranger failed: .*{words}"):
        fit(fitted)


def test_a_profile_that_another_process_made_meanwhile_is_taken(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    real = profiles.only_process

    @contextmanager
    def slow(path: Path, waiting: Any) -> Iterator[None]:
        waiting("123")
        monkeypatch.setattr(profiles, "only_process", real)
        cache.obtain()  # as the other process would
        with real(path, waiting):
            yield

    monkeypatch.setattr(profiles, "only_process", slow)
    cache.obtain()
    assert cache.n_made == 1


def test_an_interrupted_run_goes_on_with_the_texts_that_are_left(
    smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    text = "A lamp stands on the table of house nine, and a cat named Ottilie sleeps under it. " * 12
    texts = [Document(name, f"{name}. {text}", ("Who sleeps there?",)) for name in ("one", "two")]
    monkeypatch.setattr(profiles, "built_in_documents", lambda: texts)
    told: list[str] = []

    def report(doing: str, done: int, total: int) -> None:
        told.append(doing)
        if "on two" in doing and len(told) < 200 and not (tmp_path / "go on").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain_profile(over_keydiff(), smollm2, report)
    (tmp_path / "go on").touch()
    told.clear()
    obtain_profile(over_keydiff(), smollm2, report)
    assert not [doing for doing in told if "on one" in doing]
    assert [doing for doing in told if "on two" in doing]
    assert list((tmp_path / "calibration").iterdir()) == [], "nothing is left when the profile is there"
    assert [path.suffix for path in sorted((tmp_path / "profiles").iterdir())] == [".safetensors", ".json"]
