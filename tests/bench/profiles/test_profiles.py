"""Profiles as files, and the one that ships."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from lukv_bench import UserError
from lukv_bench.allocators.lukv import LUKV
from lukv_bench.bench.budget import parse_budgets
from lukv_bench.bench.calibration.documents import Document
from lukv_bench.bench.errors import PluginError
from lukv_bench.bench.hashing import content_hash
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.plugins.plugin import Description, Plugin
from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.bench.profiles import obtain as profiles
from lukv_bench.bench.profiles.file import load_profile, profile_hash, save_profile, storable_arrays
from lukv_bench.bench.profiles.obtain import check_profile, make_profiles, obtain_profile
from lukv_bench.bench.run.plan import _obtain_profiles
from lukv_bench.bench.run.request import ask_methods
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


def made_here(loaded: LoadedModel, **more: Any) -> Profile:
    """As a profile of LU-KV over keydiff says it was made for a model."""
    facts = {"model_revision": loaded.revision, "arguments": {}, "allocator_code": None}
    return made(**facts | {"chat_template": content_hash(loaded.tokenizer.chat_template)[:12]} | more)


def test_a_profile_of_another_model_or_scorer_is_refused(smollm2: LoadedModel) -> None:
    lukv, keydiff = build("allocator", "lukv"), build("scorer", "keydiff")
    here = Path("p.safetensors")
    check_profile(made_here(smollm2), here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="made for another model"):
        check_profile(made(), here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="made for the scorer snapkv"):
        check_profile(made(model_revision=smollm2.revision, scorer="snapkv"), here, lukv, keydiff, smollm2)
    stranger = made(model_revision=smollm2.revision, scorer_code="stranger 1.0")
    with pytest.raises(UserError, match=r"made for the scorer keydiff stranger 1\.0, not for keydiff"):
        check_profile(stranger, here, lukv, keydiff, smollm2)
    with pytest.raises(UserError, match="is a profile of headkv"):
        check_profile(dataclasses.replace(made(), kind="headkv"), here, lukv, keydiff, smollm2)


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
    keydiff = build("scorer", "keydiff")
    with pytest.raises(UserError, match=words) as refusal:
        obtain_profile(build("allocator", f"lukv:profile={path}"), keydiff, Protection(2, 3), smollm2, no_report)
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
    spec = f"lukv:profile={path}"
    with pytest.raises(UserError, match="was made "):
        obtain_profile(build("allocator", spec), build("scorer", "keydiff"), Protection(2, 3), smollm2, no_report)


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
        return make_profiles(stranger, {"keydiff": (keydiff, Protection(2, 3))}, smollm2, (), 0, no_report)["keydiff"]

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


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), ValueError("two\nlines")])
def test_a_fit_that_raises_anything_is_one_sentence(
    fit: Callable[[Any], Profile], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def raises(self: Fitting, documents: Any) -> NoReturn:
        raise error

    monkeypatch.setattr(Fitting, "fit", raises)
    with pytest.raises(PluginError, match=r"^fitting a profile of stranger failed: (3|MemoryError|two lines)$"):
        fit(None)


def test_a_fit_that_returns_nonsense_costs_its_own_method_only(cache: "Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "storable_arrays", storable_arrays)
    monkeypatch.setattr(LUKV, "fit", lambda self, documents: [1, 2])
    asked = ask_methods(["lukv", "uniform"], ["keydiff", "snapkv"], parse_budgets(["0.5"], []), 2, 3, baselines=False)
    found = _obtain_profiles(asked, cache.loaded, no_report)
    assert len(found) == 2
    assert all("returned list" in str(failure) for failure in found.values())


def test_what_a_profile_holds_is_not_what_the_plugin_goes_on_writing_to(fit: Callable[[Any], Profile]) -> None:
    own = FITTED.clone()
    profile = fit({"curve": own})
    own.zero_()
    assert torch.equal(profile.arrays["curve"], FITTED)


class Cache:
    """A cache folder of its own, and how often a profile was made for it."""

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        self.folder, self.loaded, self.n_made = folder / "profiles", loaded, 0
        self._lukv, self._keydiff = build("allocator", "lukv"), build("scorer", "keydiff")

    def obtain(self, dtype: str = "float32", protection: Protection = Protection(2, 3)) -> Profile:  # noqa: B008
        loaded = dataclasses.replace(self.loaded, dtype=dtype)
        return obtain_profile(self._lukv, self._keydiff, protection, loaded, self._count)

    def _count(self, doing: str, done: int, total: int) -> None:
        self.n_made += doing.startswith("fitting")


@pytest.fixture
def cache(smollm2: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(profiles, "calibrate", lambda loaded, targets, *_: dict.fromkeys(targets, ()))
    monkeypatch.setattr(profiles, "storable_arrays", lambda fitted: dict(made().arrays))
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
    assert "made anew" in line
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

    lukv, keydiff = build("allocator", "lukv"), build("scorer", "keydiff")
    first = obtain_profile(lukv, keydiff, Protection(2, 3), smollm2, report)
    assert any("calibrating" in doing for doing in told)
    told.clear()
    again = obtain_profile(lukv, keydiff, Protection(2, 3), smollm2, report)
    assert told == []
    assert profile_hash(first) == profile_hash(again)
