"""The registry, plugin by plugin: names, arguments and their types, what is broken and why."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import pytest

from lukv_bench import UserError
from lukv_bench.bench.plugins import names
from lukv_bench.bench.plugins.contract import breach, instance_breach
from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.scorers.base import CalibrationReads, Protection, Reads
from lukv_bench.scorers.keydiff import KeyDiff


@dataclass(frozen=True)
class Good:
    """Ranks.

    More words.
    """

    alpha: float = 0.5
    n: int | None = None
    kernel: str = "max"
    on: bool = True
    made: list[int] = field(default_factory=list)
    hidden: int = field(default=3, init=False)

    source: ClassVar[str] = "somewhere"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(1, 1)

    def score(self, layer: Any) -> Any:
        return layer


class NoDataclass:
    """Ranks."""

    source = "somewhere"
    reads = Reads()
    protection = Protection(1, 1)

    def score(self, layer: Any) -> Any:
        return layer


@dataclass(frozen=True)
class NoProtection:
    source: ClassVar[str] = "somewhere"
    reads: ClassVar[Reads] = Reads()

    def score(self, layer: Any) -> Any:
        return layer


@dataclass(frozen=True)
class Required(Good):
    size: int = field(kw_only=True)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Entry points of the group of scorers: name=object of a module made up here."""

    def do(**objects: Any) -> None:
        module = ModuleType("made_up_plugins")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        points = []
        for name, value in objects.items():
            setattr(module, name, value)
            points.append(EntryPoint(name, f"{module.__name__}:{name}", "lukv_bench.scorers"))
        points.append(EntryPoint("gone", "no_such_module_at_all:X", "lukv_bench.scorers"))
        monkeypatch.setattr(names, "entry_points", lambda group: points if group == "lukv_bench.scorers" else [])

    return do


def test_the_nearest_name_is_offered(register: Callable[..., None]) -> None:
    register(keydiff=Good, snapkv=Good, tova=Good)
    with pytest.raises(UserError, match="did you mean 'snapkv'") as told:
        build("scorer", "snapv:alpha=1")
    assert "'snapv'" in str(told.value)
    with pytest.raises(UserError, match="gone, keydiff, snapkv, tova"):
        build("scorer", "zzzzzz")


def test_arguments_get_their_types_and_defaults(register: Callable[..., None]) -> None:
    register(good=Good)
    plugin = build("scorer", "good:alpha=2,n=7,kernel=avg,on=false")
    assert plugin.arguments == {"alpha": 2.0, "n": 7, "kernel": "avg", "on": False, "made": []}
    assert [type(value) for value in plugin.arguments.values()] == [float, int, str, bool, list]
    assert build("scorer", "good").arguments == {"alpha": 0.5, "n": None, "kernel": "max", "on": True, "made": []}
    assert build("scorer", "good:").arguments == build("scorer", "good").arguments


def test_a_label_says_what_differs_from_the_defaults_and_can_be_typed_again(register: Callable[..., None]) -> None:
    register(good=Good)
    assert build("scorer", "good:alpha=0.50").label == "good"
    plugin = build("scorer", "good:kernel=avg,alpha=0.25")
    assert plugin.label == "good:alpha=0.25,kernel=avg"
    assert build("scorer", plugin.label).arguments == plugin.arguments


def test_a_value_may_hold_an_equals_sign_and_a_colon(register: Callable[..., None]) -> None:
    register(good=Good)
    assert build("scorer", "good:kernel=C:/a=b").arguments["kernel"] == "C:/a=b"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("good:alpha=abc", ("alpha", "float", "'abc'")),
        ("good:alpha=", ("alpha", "float")),
        ("good:n=1.5", ("'n'|n ", "int", "1.5")),
        ("good:on=perhaps", ("on", "bool", "perhaps")),
        ("good:alpah=1", ("'alpah'", "did you mean 'alpha'")),
        ("good:hidden=1", ("'hidden'",)),
        ("good:source=x", ("'source'",)),
        ("good:alpha", ("key=value", "'alpha'")),
        ("good:=1", ("''",)),
        ("required", ("required", "size")),
    ],
)
def test_wrong_arguments_are_named(register: Callable[..., None], spec: str, words: tuple[str, ...]) -> None:
    register(good=Good, required=Required)
    for word in words:
        with pytest.raises(UserError, match=word):
            build("scorer", spec)


def test_an_argument_given_twice_is_a_mistake(register: Callable[..., None]) -> None:
    register(good=Good)
    with pytest.raises(UserError, match="alpha"):
        build("scorer", "good:alpha=1,alpha=2")


def test_what_breaks_the_contract_says_what_is_missing(register: Callable[..., None]) -> None:
    register(bare=NoDataclass, open=NoProtection, number=3, good=Good)
    broken = {known.name: known.broken for known in describe_all("scorer")}
    assert broken["good"] is None
    assert "dataclass" in str(broken["bare"])
    assert "dataclass" in str(broken["number"])
    assert "protection" in str(broken["open"])
    assert "no_such_module_at_all" in str(broken["gone"])
    for name in ("bare", "open", "number", "gone"):
        with pytest.raises(UserError, match=f"'{name}' is broken"):
            build("scorer", name)


def test_a_description_is_the_first_line_and_the_arguments(register: Callable[..., None]) -> None:
    register(good=Good)
    (known,) = [known for known in describe_all("scorer") if known.name == "good"]
    assert (known.summary, known.source) == ("Ranks.", "somewhere")
    assert [(a.name, a.default) for a in known.arguments] == [
        ("alpha", 0.5),
        ("n", None),
        ("kernel", "max"),
        ("on", True),
        ("made", []),
    ]
    assert [a.type for a in known.arguments][:1] == ["float"]


def test_the_same_entry_point_found_twice_is_no_collision(
    register: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editable install beside a built one lists the same thing twice."""
    register(good=Good)
    twice = names.entry_points(group="lukv_bench.scorers") * 2
    monkeypatch.setattr(names, "entry_points", lambda group: twice)
    assert build("scorer", "good").name == "good"


def test_another_thing_under_the_same_name_is_a_collision(
    register: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(good=Good)
    points = [
        *names.entry_points(group="lukv_bench.scorers"),
        EntryPoint("good", "elsewhere:Good", "lukv_bench.scorers"),
    ]
    monkeypatch.setattr(names, "entry_points", lambda group: points)
    with pytest.raises(UserError, match="registered by both"):
        build("scorer", "good")


def test_built_in_plugins_come_by_entry_points_and_keep_the_contract() -> None:
    allocators = {known.name: known for known in describe_all("allocator") if known.distribution == "lukv-bench"}
    scorers = {known.name: known for known in describe_all("scorer") if known.distribution == "lukv-bench"}
    assert set(allocators) >= {"full", "uniform", "lukv"}
    assert set(scorers) >= {
        *("keydiff", "knorm", "snapkv", "expected_attention", "tova", "streaming_llm", "h2o", "random", "critical")
    }
    for known in (*allocators.values(), *scorers.values()):
        assert known.broken is None
        assert known.summary
        assert known.source
        assert known.version


@pytest.mark.parametrize(
    ("spec", "protection"),
    [
        ("keydiff", Protection(sink=4, window=1)),
        ("snapkv", Protection(sink=4, window=32)),
        ("expected_attention", Protection(sink=4, window=1)),
        ("critical:of=snapkv", Protection(sink=4, window=32)),
    ],
)
def test_sink_and_window_are_by_default_those_that_lukv_uses(spec: str, protection: Protection) -> None:
    assert build("scorer", spec).instance.protection == protection


def test_a_type_is_shown_as_what_one_may_type() -> None:
    (snapkv,) = [known for known in describe_all("scorer") if known.name == "snapkv"]
    assert [(a.name, a.type, a.default) for a in snapkv.arguments] == [
        ("window", "int", 32),
        ("kernel", "int", 7),
        ("pool", "max or avg", "max"),
    ]
    with pytest.raises(UserError, match="pool of the scorer 'snapkv' takes a max or avg, not 'mean'"):
        build("scorer", "snapkv:pool=mean")


@dataclass(frozen=True)
class Learned(KeyDiff):
    """Learns."""

    profile: str = ""
    calibration: ClassVar[CalibrationReads] = CalibrationReads(importance=True, keys=True)

    def fit(self, documents: object) -> dict[str, object]:
        return {}


class Ranking(Learned):
    """Reads the scores that it is to give."""

    calibration: ClassVar[CalibrationReads] = CalibrationReads(scores=True)


class Mistyped(Learned):
    """Declares something else."""

    calibration: ClassVar[Any] = ("importance",)


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        (Learned, "None"),
        (Ranking, "its calibration reads scores, which only an allocator's can"),
        (Mistyped, "its calibration is not what the contract says"),
    ],
)
def test_what_a_scorer_may_read_of_the_calibration(scorer: type, words: str) -> None:
    assert words in str(breach("scorer", scorer))
    assert words in str(instance_breach("scorer", scorer()))


@dataclass(frozen=True)
class Loose(Good):
    """Defaults of other types than the annotations."""

    tau: float = 1
    whole: int = 3.0  # type: ignore[assignment]  # on purpose, as in the others
    flag: bool = 1  # type: ignore[assignment]
    place: Path = "here"  # type: ignore[assignment]
    size: Literal[1, 2] = 1
    sizes: tuple[int, ...] = (1.0, 2)  # type: ignore[assignment]
    maybe: float | None = 2
    lax: int = None  # type: ignore[assignment]
    names: frozenset[str] = frozenset({"b", "a", "c"})


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("tau=1", 1.0),
        ("tau=1.0", 1.0),
        ("whole=3", 3),
        ("flag=true", True),
        ("place=here", "here"),
        ("size=1", 1),
        ("maybe=2", 2.0),
    ],
)
def test_a_default_is_what_typing_it_gives(register: Callable[..., None], typed: str, value: object) -> None:
    register(loose=Loose)
    by_default, by_hand = build("scorer", "loose"), build("scorer", f"loose:{typed}")
    assert by_default.identity == by_hand.identity
    assert json.dumps(by_default.identity) == json.dumps(by_hand.identity)
    name = typed.partition("=")[0]
    assert (by_hand.arguments[name], type(by_hand.arguments[name])) == (value, type(value))
    assert by_default.label == by_hand.label == "loose"


def test_defaults_that_nobody_could_type_stay_as_they_are(register: Callable[..., None]) -> None:
    register(loose=Loose)
    arguments = build("scorer", "loose").arguments
    assert arguments["lax"] is None
    assert arguments["sizes"] == [1, 2]
    assert arguments["names"] == ["a", "b", "c"]
