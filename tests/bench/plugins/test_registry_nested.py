"""Plugins that hold plugins: how they are written, shown and hashed, and what one can get wrong."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.allocators.base import Allocator, Needs
from lukv_bench.bench.plugins import names
from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.scorers.base import Scorer
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.snapkv import SnapKV

HERE = {"distribution": "lukv-bench", "version": build("scorer", "keydiff").description.version}


@dataclass(frozen=True)
class Base:
    source: ClassVar[str] = "somewhere"

    def score(self, layer: Any) -> Any:
        return layer

    def allocate(self, request: Any) -> Any:
        return request


@dataclass(frozen=True)
class Fits(Base):
    """Fits a profile."""

    profile: str = ""
    beta: float = 1.0

    needs: ClassVar[Needs] = Needs.NOTHING

    def fit(self, documents: Any) -> Any:
        return {}


@dataclass(frozen=True)
class Around(Base):
    """Around another."""

    of: Allocator
    n: int = 1

    @property
    def needs(self) -> Needs:
        return self.of.needs


@dataclass(frozen=True)
class Two(Base):
    """Around two."""

    one: Allocator
    other: Allocator

    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True)
class Holder(Around):
    """Fits a profile around another."""

    def fit(self, documents: Any) -> Any:
        return {}


@dataclass(frozen=True)
class Mixed(Base):
    of: Scorer
    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True)
class Defaulted(Base):
    of: Allocator = Fits()
    needs: ClassVar[Needs] = Needs.NOTHING


@dataclass(frozen=True)
class Liar(Base):
    n: int = 1

    @property
    def needs(self) -> str:
        return "nothing at all"


@pytest.fixture
def allocators(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up_allocators")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    points = []
    for made in (Fits, Around, Two, Holder, Mixed, Defaulted, Liar):
        setattr(module, made.__name__, made)
        points.append(EntryPoint(made.__name__.lower(), f"{module.__name__}:{made.__name__}", "lukv_bench.allocators"))
    monkeypatch.setattr(names, "entry_points", lambda group: points if group == "lukv_bench.allocators" else [])


def test_an_inner_plugin_is_built_from_its_name() -> None:
    plugin = build("scorer", "critical:of=keydiff")
    assert plugin.instance.of == KeyDiff()
    assert plugin.instance.protection == KeyDiff.protection
    assert plugin.label == "critical:of=keydiff"
    assert plugin.arguments == {
        "of": {"name": "keydiff", "arguments": {}, **HERE},
        "epsilon": 1e-4,
        "first_share": 0.5,
    }


def test_arguments_of_an_inner_plugin_stand_in_brackets() -> None:
    plugin = build("scorer", "critical:of=(snapkv:window=64,kernel=5),first_share=0.25")
    assert plugin.instance.of == SnapKV(window=64, kernel=5)
    assert plugin.instance.first_share == 0.25
    assert plugin.instance.reads.queries == 64
    assert plugin.arguments["of"]["arguments"] == {"window": 64, "kernel": 5, "pool": "max"}
    assert plugin.label == "critical:of=(snapkv:window=64,kernel=5),first_share=0.25"
    assert build("scorer", "critical:of=(keydiff)").label == "critical:of=keydiff"


def test_plugins_nest_to_any_depth() -> None:
    plugin = build("scorer", "critical:of=(critical:of=(snapkv:kernel=3),epsilon=0.5),epsilon=0.25")
    assert plugin.instance.epsilon == 0.25
    assert plugin.instance.of.epsilon == 0.5
    assert plugin.instance.of.of == SnapKV(kernel=3)
    assert build("scorer", plugin.label).instance == plugin.instance


def test_the_parts_of_a_plugin_are_itself_and_all_that_it_holds() -> None:
    plugin = build("scorer", "critical:of=(critical:of=(snapkv:kernel=3),epsilon=0.5)")
    assert [part.label for part in plugin.parts] == [
        "critical:of=(critical:of=(snapkv:kernel=3),epsilon=0.5)",
        "critical:of=(snapkv:kernel=3),epsilon=0.5",
        "snapkv:kernel=3",
    ]


@st.composite
def specs(draw: Any, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        window = draw(st.integers(1, 99))
        return draw(st.sampled_from(["keydiff", "tova", f"snapkv:window={window}", f"snapkv:pool=avg,window={window}"]))
    inner = draw(specs(depth=depth - 1))
    more = draw(st.sampled_from(["", ",epsilon=0.5", ",first_share=0.1,epsilon=2"]))
    return f"critical:of=({inner}){more}"


@settings(deadline=None)
@given(spec=specs())
def test_a_label_can_be_typed_again_at_any_depth(spec: str) -> None:
    plugin = build("scorer", spec)
    again = build("scorer", plugin.label)
    assert again.instance == plugin.instance
    assert again.label == plugin.label
    assert again.arguments == plugin.arguments
    assert again.identity == plugin.identity


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("critical", ("'critical' needs the argument of", "critical:of=")),
        ("critical:of=snapv", ("unknown scorer 'snapv'", "did you mean 'snapkv'")),
        ("critical:of=(snapkv:windw=3)", ("'windw'", "'snapkv'", "did you mean 'window'")),
        ("critical:of=(snapkv:kernel=4)", ("'snapkv' refuses", "odd")),
        ("critical:of=(snapkv:kernel=x)", ("kernel of the scorer 'snapkv'", "'x'")),
        ("critical:of=", ("of of the scorer 'critical' is empty", "critical:of=NAME")),
        ("critical:of=()", ("is empty",)),
        ("critical:of=( )", ("is empty",)),
        ("critical:of=(snapkv", ("brackets", "do not match")),
        ("critical:of=(snapkv:window=3", ("brackets", "do not match")),
        ("critical:of=snapkv)", ("brackets", "do not match")),
        ("critical:of=(snapkv))", ("brackets", "do not match")),
        ("critical:of=((snapkv)", ("brackets", "do not match")),
        ("critical:of=(snapkv:window=3),first_share=(0.5", ("brackets", "do not match")),
        ("critical:of=snapkv:window=3", ("in brackets", r"of=\(snapkv:window=3\)")),
        ("critical:of=snapkv,window=3", ("'window'", "'critical'")),
        ("critical:of=keydiff,of=snapkv", ("twice",)),
        ("critical:of=(critical)", ("'critical' needs the argument of",)),
        ("critical:of=uniform", ("'uniform' is not one of the scorers but of the allocators",)),
    ],
)
def test_mistakes_are_told_in_one_sentence(spec: str, words: tuple[str, ...]) -> None:
    for word in words:
        with pytest.raises(UserError, match=word) as told:
            build("scorer", spec)
        assert "\n" not in str(told.value)


@pytest.mark.usefixtures("allocators")
def test_every_fitted_plugin_has_a_profile_of_its_own_at_its_path() -> None:
    fits = build("allocator", "fits:profile=a.safetensors,beta=2")
    assert fits.owners("allocator") == {"allocator": fits}
    around = build("allocator", "around:of=(around:of=(fits:profile=a.safetensors,beta=2)),n=5")
    assert {path: owner.label for path, owner in around.owners("allocator").items()} == {"allocator.of.of": fits.label}
    two = build("allocator", "two:one=fits,other=(around:of=(fits:beta=2))")
    assert {path: owner.label for path, owner in two.owners("allocator").items()} == {
        "allocator.one": "fits",
        "allocator.other.of": "fits:beta=2.0",
    }
    assert list(build("allocator", "holder:of=fits").owners("allocator")) == ["allocator.of", "allocator"]


@pytest.mark.usefixtures("allocators")
def test_a_profiles_path_is_in_no_identity_but_other_arguments_are() -> None:
    def identity(spec: str) -> Any:
        return build("allocator", spec).identity

    assert (
        identity("around:of=(fits:profile=a)") == identity("around:of=(fits:profile=b)") == identity("around:of=fits")
    )
    assert identity("around:of=(fits:beta=2)") != identity("around:of=fits")
    assert identity("around:of=fits,n=2") != identity("around:of=fits")
    assert identity("fits:profile=a")["arguments"] == {"beta": 1.0}


@pytest.mark.usefixtures("allocators")
def test_what_a_holding_plugin_may_not_declare() -> None:
    broken = {known.name: known.broken for known in describe_all("allocator")}
    assert broken["around"] is None
    assert "allocators can only hold allocators" in str(broken["mixed"])
    assert "must have no default" in str(broken["defaulted"])
    assert broken["liar"] is None, "a property can only be looked at when the plugin is built"
    with pytest.raises(UserError, match=r"'liar' is broken: its needs is not what the contract says"):
        build("allocator", "liar")
    with pytest.raises(UserError, match=r"'liar' is broken"):
        build("allocator", "around:of=liar")


def test_an_inner_plugin_is_described_as_required() -> None:
    (critical,) = [known for known in describe_all("scorer") if known.name == "critical"]
    assert [(a.name, a.type, a.required) for a in critical.arguments] == [
        ("of", "Scorer", True),
        ("epsilon", "float", False),
        ("first_share", "float", False),
    ]
