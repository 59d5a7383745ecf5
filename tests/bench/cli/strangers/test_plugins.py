"""A stranger's plugins, as one finds them: good, wrong, raising, not importable, colliding."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHORT = ("--tasks", "niah_single_1", "--length", "360")
COMMON = '''
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

import torch
from lukv_bench.allocators.base import Needs
from lukv_bench.scorers.base import Protection, Reads


@dataclass(frozen=True)
class Length:
    """Keeps the longest keys."""

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=2, window=2)

    def score(self, layer):
        return layer.keys.float().norm(dim=-1)


@dataclass(frozen=True)
class Even:
    """As uniform does."""

    source: ClassVar[str] = "a test"
    needs: ClassVar[Needs] = Needs.NOTHING

    def allocate(self, request):
        return torch.full(request.shape, request.budget // request.n_heads, dtype=torch.int64)
'''

SHAKY = """
@dataclass(frozen=True)
class NotANumber(Length):
    def score(self, layer):
        scores = super().score(layer)
        scores[..., 7] = float("nan")
        return scores


@dataclass(frozen=True)
class Raising(Length):
    def score(self, layer):
        raise RuntimeError("out of luck")


@dataclass(frozen=True)
class Moody(Length):
    def score(self, layer):
        if layer.keys.shape[2] % 1000 and Path("mood").exists() and Path("mood").read_text() == str(Moody.asked):
            raise RuntimeError("not today")
        Moody.asked += layer.layer == 1
        return super().score(layer)


Moody.asked = 0


@dataclass(frozen=True)
class TooMuch(Even):
    def allocate(self, request):
        return super().allocate(request) + 1


@dataclass(frozen=True)
class Unprotecting(Even):
    def allocate(self, request):
        counts = super().allocate(request)
        shift = counts[0, 0, 0] - 1
        counts[0, 0, 0] -= shift
        counts[0, 0, 1] += shift
        return counts


@dataclass(frozen=True)
class Fractional(Even):
    def allocate(self, request):
        return super().allocate(request).double()


@dataclass(frozen=True)
class Exploding(Even):
    def allocate(self, request):
        raise ZeroDivisionError("nothing left")


@dataclass(frozen=True)
class ByLayer(Even):
    needs: ClassVar[Needs] = Needs.LAYER_SCORES

    def allocate(self, request):
        assert len(request.layers) == 1 and request.scores.shape[0] == 1
        return super().allocate(request)
"""

ARGUED = """
class Mode(Enum):
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True)
class Argued(Length):
    alpha: float = 1.0
    n: int = 3
    on: bool = False

    def __post_init__(self):
        if self.alpha > 10:
            raise ValueError("alpha is at most 10")


@dataclass(frozen=True)
class Asserting(Length):
    alpha: float = 1.0

    def __post_init__(self):
        assert self.alpha <= 10, "alpha is at most 10"


@dataclass(frozen=True)
class Rich(Length):
    mode: Mode = Mode.SOFT
    sizes: tuple[int, ...] = (1, 2)
    limit: float = float("inf")
    where: Path = Path("here")
"""

HINTED = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Hinted(Length):
    share: "Decimal | None" = None
"""


BASE = (*SHORT, "--ratio", "0.5", "--db", "out.db")


@pytest.fixture
def run(lukv_bench: Any, tiny: Path, defaults: Any) -> Callable[..., Any]:
    base = ("--model", tiny, *BASE, "--limit", "2")
    return lambda *arguments: lukv_bench("run", *defaults(base, arguments), *arguments)


@pytest.fixture
def run_refused(refused: Callable[..., str], tiny: Path, defaults: Any) -> Callable[..., str]:
    base = ("--model", tiny, *BASE, "--limit", "1")
    return lambda arguments, *words: refused(["run", *defaults(base, arguments), *arguments], *words)


def by_method(rows: list[dict[str, Any]]) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(row["allocator"], row["scorer"]): row for row in rows}


@pytest.fixture
def shaky(site: Callable[..., None]) -> None:
    site(
        "shaky",
        COMMON + SHAKY,
        scorers={"length": "Length", "nan": "NotANumber", "raising": "Raising", "moody": "Moody"},
        allocators={
            "toomuch": "TooMuch",
            "unprotecting": "Unprotecting",
            "fractional": "Fractional",
            "exploding": "Exploding",
            "bylayer": "ByLayer",
        },
    )


@pytest.mark.usefixtures("shaky")
def test_broken_methods_fail_alone_with_their_reason(run: Callable[..., Any], lukv_bench: Any) -> None:
    broken = {
        "toomuch": "sum to",
        "unprotecting": "protected",
        "fractional": "int64",
        "exploding": "nothing left",
    }
    asked = [word for name in (*broken, "bylayer") for word in ("--allocator", name)]
    ended = run(*asked, "--scorer", "length", "--scorer", "nan", "--scorer", "raising", "--json")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    rows = by_method(ended.rows)
    assert rows == by_method(lukv_bench("results", "--db", "out.db", "--json").rows)
    assert len(rows) == 1 + 3 * 6
    reasons = {"nan": "NaN", "raising": "out of luck"}
    for (allocator, scorer), row in rows.items():
        reason = reasons.get(str(scorer), broken.get(allocator) if scorer else None)
        if reason is None:
            assert (row["status"], row["n"], row["error"]) == ("complete", 2, None), row
            assert row["score"] is not None
        else:
            assert row["status"] == "failed", row
            assert row["score"] is None
            assert row["kv_bytes_kept"] is None
            assert reason in row["error"]
            assert any(allocator in line and str(scorer) in line and reason in line for line in ended.sentences)
    assert {key for key, row in rows.items() if row["status"] == "complete"} == {
        ("full", None),
        ("uniform", "length"),
        ("bylayer", "length"),
    }


@pytest.mark.usefixtures("shaky")
def test_a_method_that_failed_once_is_retried_and_nothing_else_is_repeated(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--allocator", "uniform", "--no-baselines", "--scorer", "moody", "--limit", "3", "--json")
    Path("mood").write_text("1")  # the second context it sees
    first = run(*command)
    assert first.code == 1
    (row,) = first.rows
    assert (row["status"], row["n"], row["n_failed"]) == ("partial", 1, 2)
    assert "not today" in row["error"]
    before = answers(Path("out.db"))
    assert [status for *_, status in before] == ["done", "failed", "failed"]
    Path("mood").unlink()
    second = run(*command)
    assert second.code == 0
    (row,) = second.rows
    assert (row["status"], row["n"], row["error"]) == ("complete", 3, None)
    after = answers(Path("out.db"))
    assert len(after) == 3
    assert after[0] == before[0]
    assert any("2 new answers" in line for line in second.sentences)


def answers(database: Path) -> list[tuple[Any, ...]]:
    import sqlite3

    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT id, cell_id, sample_id, created_at, text, status FROM answer ORDER BY id"
    ).fetchall()
    connection.close()
    return rows


@pytest.mark.usefixtures("shaky")
def test_lukv_over_a_scorer_without_scores_fails_alone(lukv_bench: Any, roomy: Path) -> None:
    """Its profile is made from the scorer's tables: there are none. The baselines must finish."""
    base = (
        "--model",
        roomy,
        *SHORT,
        "--limit",
        "1",
        "--ratio",
        "0.5",
        "--db",
        "out.db",
    )
    ended = lukv_bench("run", *base, "--allocator", "lukv", "--scorer", "length", "--scorer", "nan", "--json")
    assert "Traceback" not in ended.err, ended.err[-800:]
    assert ended.code == 1
    rows = by_method(ended.rows)
    assert rows["lukv", "nan"]["status"] == "failed"
    assert "NaN" in rows["lukv", "nan"]["error"]
    for method in (("full", None), ("uniform", "length"), ("lukv", "length")):
        assert rows[method]["status"] == "complete", method


@pytest.mark.usefixtures("shaky")
def test_a_profile_for_a_scorer_without_scores_is_one_sentence(
    lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]
) -> None:
    words = ("--text", texts[0], "--questions", texts[1], "--out", "p.safetensors")
    ended = lukv_bench("profile", "--model", tiny, "--scorer", "nan", *words)
    assert ended.code in (1, 2)
    assert "Traceback" not in ended.err, ended.err[-800:]
    assert "NaN" in ended.sentences[-1]
    assert not Path("p.safetensors").exists()


@pytest.mark.usefixtures("shaky")
def test_inspect_with_a_broken_method_is_one_sentence(lukv_bench: Any, tiny: Path, texts: tuple[Path, Path]) -> None:
    for broken, reason in (("toomuch", "sum to"), ("exploding", "nothing left")):
        inspect = ("inspect", "--model", tiny, "--context", texts[0], "--out", "f.npz", "--ratio", "0.5")
        ended = lukv_bench(*inspect, "--allocator", broken)
        assert ended.code in (1, 2)
        assert "Traceback" not in ended.err, ended.err[-800:]
        assert len(ended.sentences) == 1
        assert reason in ended.sentences[0]
        assert not Path("f.npz").exists()


BROKEN = {
    "import error": "raise ImportError('libfoo.so is missing')\n",
    "several lines of error": "raise ImportError('libfoo.so is missing:\\n  install it\\n  first')\n",
    "syntax error": "def broken(:\n",
    "exit": "import sys\nsys.exit('this is a script')\n",
    "missing class": "x = 1\n",
    "no class": "Length = 3\n",
    "no dataclass": COMMON.replace("@dataclass(frozen=True)\n", ""),
    "contract breach": COMMON.replace("def score", "def rank"),
    "hints that cannot be resolved": COMMON + HINTED + "\n\nLength = Hinted\n",
}


@pytest.mark.parametrize("source", [pytest.param(BROKEN[name], id=name.replace(" ", "-")) for name in BROKEN])
def test_a_plugin_that_cannot_be_used_is_listed_with_the_reason_and_disturbs_nothing(
    site: Callable[..., None], lukv_bench: Any, run: Callable[..., Any], run_refused: Callable[..., str], source: str
) -> None:
    site("broken", source, scorers={"hapless": "Length"})
    listed = lukv_bench("list", "scorers", "--json")
    assert "Traceback" not in listed.err, listed.err[-500:]
    assert listed.code == 0
    rows = {row["name"]: row for row in listed.rows}
    assert rows["hapless"]["broken"]
    assert "broken 1.0" in rows["hapless"]["origin"]
    assert rows["keydiff"]["broken"] is None
    plain = lukv_bench("list", "scorers")
    assert plain.code == 0
    assert "hapless" in plain.out
    run_refused(["--allocator", "uniform", "--scorer", "hapless"], "hapless", "broken")
    assert run("--allocator", "uniform", "--no-baselines", "--limit", "1").code == 0


def test_doctor_names_a_broken_plugin_and_stays_well(site: Callable[..., None], lukv_bench: Any) -> None:
    site("broken", BROKEN["import error"], scorers={"hapless": "Length"})
    ended = lukv_bench("doctor")
    assert ended.code == 0
    assert any("hapless" in line and "libfoo.so is missing" in line for line in ended.out.splitlines())


def test_two_plugins_of_one_name_are_an_error_only_for_those_who_ask(
    site: Callable[..., None], lukv_bench: Any, run: Callable[..., Any], run_refused: Callable[..., str]
) -> None:
    site("first", COMMON, scorers={"twin": "Length"})
    site("second", COMMON, scorers={"twin": "Length", "single": "Length"})
    rows = {row["name"]: row for row in lukv_bench("list", "scorers", "--json").rows}
    assert "first" in rows["twin"]["broken"]
    assert "second" in rows["twin"]["broken"]
    assert rows["single"]["broken"] is None
    run_refused(["--allocator", "uniform", "--scorer", "twin"], "twin", "first", "second")
    assert run("--allocator", "uniform", "--no-baselines", "--scorer", "single", "--limit", "1").code == 0


def test_a_stranger_cannot_take_a_built_in_name_silently(
    site: Callable[..., None], run_refused: Callable[..., str]
) -> None:
    site("usurper", COMMON, scorers={"keydiff": "Length"})
    run_refused(["--allocator", "uniform"], "keydiff", "usurper", "lukv-bench")


@pytest.fixture
def argued(site: Callable[..., None]) -> None:
    points = {"argued": "Argued", "asserting": "Asserting", "rich": "Rich"}
    site("argued", COMMON + ARGUED, scorers=points)


@pytest.mark.usefixtures("argued")
@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("argued:alpha=high", ("alpha", "float", "'high'")),
        ("argued:n=2.5", ("n", "int", "'2.5'")),
        ("argued:on=maybe", ("on", "bool", "'maybe'")),
        ("argued:alpa=1", ("'alpa'", "did you mean 'alpha'")),
        ("argued:alpha", ("key=value",)),
        ("argued:alpha=11", ("alpha is at most 10",)),
        ("argued:alpha=nan", ("alpha",)),
        ("argued:alpha=inf", ("alpha",)),
        ("asserting:alpha=11", ("alpha is at most 10",)),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(
    run_refused: Callable[..., str], scorer: str, words: tuple[str, ...]
) -> None:
    run_refused(["--allocator", "uniform", "--scorer", scorer], scorer.partition(":")[0], *words)


@pytest.mark.usefixtures("argued")
def test_typed_arguments_are_stored_as_their_types_and_make_other_configurations(run: Callable[..., Any]) -> None:
    scorers = ("argued", "argued:alpha=1.0", "argued:n=4,on=true", "argued:on=yes,n=04")
    asked = [word for scorer in scorers for word in ("--scorer", scorer)]
    ended = run("--allocator", "uniform", "--no-baselines", "--limit", "1", *asked, "--json")
    assert ended.code == 0
    assert [row["scorer_args"] for row in ended.rows] == [
        {"alpha": 1.0, "n": 3, "on": False},
        {"alpha": 1.0, "n": 4, "on": True},
    ]
    assert len({row["configuration"] for row in ended.rows}) == 2


@pytest.mark.usefixtures("argued")
def test_defaults_that_json_does_not_know_are_no_obstacle(run: Callable[..., Any], lukv_bench: Any) -> None:
    listed = lukv_bench("list", "scorers", "--json")
    assert "Traceback" not in listed.err, listed.err[-500:]
    rows = {row["name"]: row for row in listed.rows}
    assert [argument["name"] for argument in rows["rich"]["arguments"]] == ["mode", "sizes", "limit", "where"]
    ended = run("--allocator", "uniform", "--no-baselines", "--limit", "1", "--scorer", "rich:mode=hard", "--json")
    assert "Traceback" not in ended.err, ended.err[-500:]
    assert ended.code == 0
    assert ended.rows[0]["scorer_args"]["mode"] == "hard"


@pytest.mark.usefixtures("argued")
def test_list_shows_a_strangers_plugin_like_ones_own(lukv_bench: Any) -> None:
    listed = lukv_bench("list", "scorers")
    assert "Traceback" not in listed.err, listed.err[-500:]
    rows = {row["name"]: row for row in lukv_bench("list", "scorers", "--json").rows}
    row = rows["argued"]
    assert row["source"] == "a test"
    assert "argued 1.0" in row["origin"]
    assert row["arguments"] == [
        {"name": "alpha", "type": "float", "default": 1.0},
        {"name": "n", "type": "int", "default": 3},
        {"name": "on", "type": "bool", "default": False},
    ]


def test_list_with_a_name_shows_the_whole_docstring(site: Callable[..., None], lukv_bench: Any) -> None:
    told = COMMON.replace(
        '"""Keeps the longest keys."""',
        '"""Keeps the longest keys.\n\n    score_j = ||k_j||\n\n    Differs: no.\n    """',
    )
    site("telling", told, scorers={"length": "Length"})
    shown = lukv_bench("list", "scorers", "length").out
    assert shown.startswith("length\n  summary        Keeps the longest keys.\n")
    assert shown.endswith("\n\n  score_j = ||k_j||\n\n  Differs: no.\n")
    assert "score_j = ||k_j||" not in lukv_bench("list", "scorers").out
    (row,) = lukv_bench("list", "scorers", "length", "--json").rows
    assert row["details"] == "score_j = ||k_j||\n\nDiffers: no."


@pytest.mark.parametrize("kind", ["allocators", "scorers", "tasks", "models"])
def test_list_with_an_unknown_name_is_one_sentence(refused: Callable[..., str], kind: str) -> None:
    refused(["list", kind, "nobody"], f"unknown {kind[:-1]} 'nobody'", "known: ")


def test_edited_code_is_answered_anew_and_unedited_code_is_not(
    site: Callable[..., None], run: Callable[..., Any], lukv_bench: Any, home: Path
) -> None:
    site("edited", COMMON, scorers={"length": "Length"})
    command = ("--allocator", "uniform", "--no-baselines", "--scorer", "length", "--json")
    (first,) = run(*command).rows
    assert any("0 new answers" in line for line in run(*command).sentences)
    (shown,) = lukv_bench("list", "scorers", "length", "--json").rows
    place = home / "site" / "edited.py"
    place.write_text(COMMON.replace("return layer.keys", "return -layer.keys"))
    sys.modules.pop("edited")
    importlib.invalidate_caches()
    ended = run(*command)
    assert any("2 new answers" in line for line in ended.sentences)
    (second,) = ended.rows
    assert second["configuration"] != first["configuration"]
    (again,) = lukv_bench("list", "scorers", "length", "--json").rows
    assert len({shown["code"], again["code"]}) == 2
    assert again["code"] in lukv_bench("list", "scorers", "length").out


@pytest.mark.usefixtures("shaky")
def test_a_failure_names_file_and_line_and_traceback_shows_all(run: Callable[..., Any]) -> None:
    command = ("--allocator", "uniform", "--no-baselines", "--scorer", "raising")
    ended = run(*command)
    line = 1 + (COMMON + SHAKY).splitlines().index('        raise RuntimeError("out of luck")')
    assert f"RuntimeError: out of luck (shaky.py:{line})" in ended.err
    assert "Traceback" not in ended.err
    shown = run(*command, "--traceback")
    assert shown.err.count("Traceback (most recent call last)") == 1
    assert 'raise RuntimeError("out of luck")' in shown.err
