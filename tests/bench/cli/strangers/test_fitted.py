"""Fitted plugins, scorers among them: the scorer of docs/howto/fitted-scorer.md and what can go wrong with its like."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.calibration.documents import read_documents
from lukv_bench.bench.profiles import obtain
from lukv_bench.bench.profiles.file import load_profile, profile_hash

HOWTO = Path(__file__).resolve().parents[4] / "docs" / "howto" / "fitted-scorer.md"
(KEYFIT,) = re.findall(r"^```python\n(.*?)^```$", HOWTO.read_text(encoding="utf-8"), re.M | re.S)

OTHERS = """

@dataclass(frozen=True)
class Unfit(KeyFit):
    def fit(self, documents):
        raise RuntimeError("singular")


@dataclass(frozen=True)
class Writing(KeyFit):
    def score(self, layer):
        layer.profile.arrays["weights"].zero_()
        return super().score(layer)


@dataclass(frozen=True)
class Wrapper:
    of: Scorer

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=4, window=8)

    def score(self, layer):
        assert layer.profile is None, "the inner scorer's"
        return self.of.score(layer)


@dataclass(frozen=True)
class FittedWrapper(Wrapper):
    calibration: ClassVar[CalibrationReads] = CalibrationReads(keys=True)

    def fit(self, documents):
        assert all(document.importance is None and document.scores is None for document in documents)
        return {"scale": torch.stack([document.keys.float().std() for document in documents]).mean()}

    def score(self, layer):
        return self.of.score(layer) * layer.profile.arrays["scale"]


@dataclass(frozen=True)
class Spread:
    of: Allocator

    source: ClassVar[str] = "a test"
    needs: ClassVar[Needs] = Needs.NOTHING
    calibration: ClassVar[CalibrationReads] = CalibrationReads(importance=True)

    def fit(self, documents):
        assert all(document.scores is None for document in documents)
        return {"heads": torch.stack([document.importance.amax(dim=(0, 3)) for document in documents]).mean(dim=0)}

    def allocate(self, request):
        assert set(request.profile.arrays) == {"heads"}
        return self.of.allocate(request)
"""
IMPORTS = """
from lukv_bench.allocators.base import Allocator, Needs
from lukv_bench.scorers.base import Scorer
"""
NAMES = {"keyfit": "KeyFit", "unfit": "Unfit", "writing": "Writing", "wrapper": "Wrapper", "fitwrap": "FittedWrapper"}


@pytest.fixture
def run(
    site: Callable[..., None],
    lukv_bench: Any,
    tiny: Path,
    texts: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """`run` on a tiny model that is calibrated on one short text; the fitted plugins are installed."""
    monkeypatch.setattr(obtain, "built_in_documents", lambda: read_documents([texts[0]], [texts[1]]))
    site("keyfit", KEYFIT + IMPORTS + OTHERS, scorers=NAMES, allocators={"spread": "Spread"})
    base = ("--model", tiny, "--tasks", "niah_single_1", "--length", "360", "--ratio", "0.5", "--limit", "1")
    return lambda *arguments: lukv_bench("run", *base, "--no-baselines", "--db", "out.db", *arguments, "--json")


@pytest.fixture
def cached(home: Path) -> Callable[[], dict[str, Path]]:
    """The profiles in the cache folder, by the names that their files begin with."""

    def files() -> dict[str, Path]:
        paths = (home / "cache" / "profiles").glob("*.safetensors")
        return {path.stem.rpartition("-")[0].rpartition("-")[0]: path for path in paths}

    return files


def edit(home: Path, old: str, new: str) -> None:
    """Edit the installed plugins, as an author under an editable install does, and forget the imported module."""
    place = home / "site" / "keyfit.py"
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    sys.modules.pop("keyfit")
    importlib.invalidate_caches()


def test_a_fitted_scorer_is_calibrated_once_and_its_profile_is_recorded(
    run: Callable[..., Any], cached: Callable[[], dict[str, Path]], lukv_bench: Any
) -> None:
    command = ("--allocator", "uniform", "--scorer", "keyfit")
    first = run(*command)
    assert first.code == 0, first.err
    assert [line for line in first.progress if "calibrating on keeper.txt (text 1 of 1)" in line], first.progress
    (profile,) = cached().values()
    (row,) = first.rows
    assert row["profile_hash"] is None, "the allocator has none"
    assert row["spec"]["profiles"] == {"scorer": profile_hash(load_profile(profile))}
    again = run(*command)
    assert (again.code, "0 new answers" in again.err) == (0, True)
    assert not [line for line in again.progress if "calibrating" in line]
    assert lukv_bench("results", "--db", "out.db", "--json").rows[0]["spec"]["profiles"] == row["spec"]["profiles"]


def test_lukv_over_a_fitted_scorer_ranks_with_its_profile(
    run: Callable[..., Any], cached: Callable[[], dict[str, Path]]
) -> None:
    ended = run("--allocator", "lukv,uniform", "--scorer", "keyfit")
    assert ended.code == 0, ended.err
    profiles = {name: load_profile(path) for name, path in cached().items()}
    assert set(profiles) == {"keyfit", "lukv-keyfit"}
    scorers = profile_hash(profiles["keyfit"])
    assert profiles["lukv-keyfit"].made["profiles"] == {"scorer": scorers}
    rows = {row["allocator"]: row for row in ended.rows}
    assert rows["lukv"]["profile_hash"] == profile_hash(profiles["lukv-keyfit"])
    assert {row["spec"]["profiles"]["scorer"] for row in rows.values()} == {scorers}


def test_a_profile_made_by_name_is_the_one_that_a_run_makes(
    run: Callable[..., Any], lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]
) -> None:
    made = lukv_bench(
        *("profile", "--model", tiny, "--scorer", "keyfit", "--out", "k.safetensors"),
        *("--text", texts[0], "--questions", texts[1]),
    )
    assert made.code == 0, made.err
    assert f"use it with: lukv-bench run --model {tiny} --scorer keyfit:profile=k.safetensors" in made.err
    named = run("--allocator", "uniform", "--scorer", "keyfit:profile=k.safetensors")
    assert named.rows[0]["spec"]["profiles"] == {"scorer": profile_hash(load_profile(Path("k.safetensors")))}
    assert not [line for line in named.progress if "calibrating" in line]
    own = run("--allocator", "uniform", "--scorer", "keyfit")
    assert "0 new answers" in own.err


def test_an_edited_fit_is_made_anew_and_refuses_the_file_of_earlier_code(
    run: Callable[..., Any], lukv_bench: Any, tiny: Path, home: Path, cached: Callable[[], dict[str, Path]]
) -> None:
    command = ("--allocator", "uniform", "--scorer", "keyfit")
    (before,) = run(*command).rows
    (file,) = cached().values()
    Path("old.safetensors").write_bytes(file.read_bytes())
    edit(home, "+ 1e-9", "+ 1e-6")
    ended = run(*command)
    assert "1 new answers" in ended.err
    (after,) = ended.rows
    assert after["configuration"] != before["configuration"]
    assert after["spec"]["profiles"] != before["spec"]["profiles"]
    assert len(list(file.parent.glob("*.safetensors"))) == 2
    table = lukv_bench("results", "--db", "out.db").out
    assert len(re.findall(r" uniform +keyfit:ridge=1\.0 ", table)) == 2, table
    refused = run("--allocator", "uniform", "--scorer", "keyfit:profile=old.safetensors")
    assert refused.code == 2
    assert "old.safetensors was made with other code of keyfit" in refused.err


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("keyfit:profile=lukv.safetensors", "is a profile of lukv, not of the scorer keyfit"),
        ("keyfit:profile=none.safetensors", "none.safetensors"),
    ],
)
def test_a_file_that_is_not_the_scorers_profile_is_refused(
    run: Callable[..., Any], profile: Path, spec: str, words: str
) -> None:
    Path("lukv.safetensors").write_bytes(profile.read_bytes())
    ended = run("--allocator", "uniform", "--scorer", spec)
    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert not Path("out.db").exists()


def test_a_fit_that_fails_costs_its_own_cells_only_and_is_tried_again(run: Callable[..., Any], home: Path) -> None:
    command = ("--allocator", "lukv,uniform", "--scorer", "unfit,keydiff")
    ended = run(*command)
    assert ended.code == 1
    rows = {(row["allocator"], row["scorer"]): row for row in ended.rows}
    assert {method: row["status"] for method, row in rows.items()} == {
        ("lukv", "keydiff"): "complete",
        ("uniform", "keydiff"): "complete",
        ("lukv", "unfit"): "failed",
        ("uniform", "unfit"): "failed",
    }
    assert "fitting a profile of unfit failed: RuntimeError: singular" in rows["uniform", "unfit"]["error"]
    assert len([line for line in ended.progress if "fitting the profile of unfit" in line]) == 1, ended.progress
    edit(home, 'raise RuntimeError("singular")', "return super().fit(documents)")
    again = run(*command)
    assert again.code == 0, again.err
    assert {row["status"] for row in again.rows} == {"complete"}


def test_a_scorer_that_writes_into_its_profile_fails_alone(run: Callable[..., Any]) -> None:
    ended = run("--allocator", "uniform", "--scorer", "writing,keyfit")
    assert ended.code == 1
    rows = {row["scorer"]: row for row in ended.rows}
    assert rows["keyfit"]["status"] == "complete"
    assert "it changed the profile's weights" in rows["writing"]["error"]


def test_every_plugin_at_any_depth_is_handed_its_own_profile(
    run: Callable[..., Any], cached: Callable[[], dict[str, Path]]
) -> None:
    plain = run("--allocator", "uniform", "--scorer", "keyfit")
    nested = run("--allocator", "spread:of=(shuffled:of=lukv)", "--scorer", "wrapper:of=(fitwrap:of=keyfit)")
    assert nested.code == 0, nested.err
    (row,) = nested.rows
    hashes = {name: profile_hash(load_profile(path)) for name, path in cached().items()}
    assert set(hashes) == {"keyfit", "fitwrap", "lukv-wrapper", "spread"}
    assert row["profile_hash"] == hashes["spread"]
    assert row["spec"]["profiles"] == {
        "scorer.of.of": hashes["keyfit"],
        "scorer.of": hashes["fitwrap"],
        "allocator.of.of": hashes["lukv-wrapper"],
    }
    assert plain.rows[0]["spec"]["profiles"] == {"scorer": hashes["keyfit"]}, "the same profile, wherever it is held"
    assert load_profile(cached()["fitwrap"]).made["profiles"] == {".of": hashes["keyfit"]}
    assert "profiles" not in load_profile(cached()["keyfit"]).made


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scorer", "keyfit,keydiff"), "keyfit has a profile of its own and keydiff has none"),
        (("--allocator", "uniform"), "the allocator uniform has no profile of its own"),
        (("--allocator", "shuffled:of=lukv"), "the allocator shuffled:of=lukv has no profile of its own"),
        (("--allocator", "lukv:profile=old.safetensors"), "names a profile, and this command makes one"),
        (("--scorer", "keyfit", "--export-kvpress", "k.npy"), "and this makes keyfit's"),
        (("--allocator", "nobody"), "unknown allocator 'nobody'"),
    ],
)
def test_profile_refuses_what_it_cannot_make(
    refused: Callable[..., str], tiny: Path, options: tuple[str, ...], words: str
) -> None:
    refused(["profile", "--model", tiny, "--out", "p.safetensors", *options], words)


@pytest.mark.usefixtures("run")
def test_list_and_doctor_show_which_plugins_have_a_profile(lukv_bench: Any) -> None:
    fitted = {row["name"] for row in lukv_bench("list", "scorers", "--json").rows if row["fitted"]}
    assert fitted == {"kvzap", "calibrated_utility", "keyfit", "unfit", "writing", "fitwrap"}
    assert {row["name"] for row in lukv_bench("list", "allocators", "--json").rows if row["fitted"]} == {
        *("lukv", "headkv", "duoattention"),
        "spread",
    }
    doctor = lukv_bench("doctor").out
    assert re.search(r"scorer keyfit .*has a profile", " ".join(doctor.split()))
