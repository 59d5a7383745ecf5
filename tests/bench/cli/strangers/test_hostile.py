"""Whatever a plugin does costs its own cells: the others' answers are those of a run without it."""

import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BASE = ("--tasks", "niah_single_1", "--length", "360", "--ratio", "0.5", "--json")
BEGINNING = """
import ctypes
import os
import sys
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from lukv_bench.allocators.base import Needs
from lukv_bench.scorers.base import Protection, Reads


class Own(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Wordless(Exception):
    def __str__(self):
        return 7


def die(way):
    if way == "exit by force":
        os._exit(3)
    if way == "abort":
        os.abort()
    if way == "sys.exit":
        sys.exit("enough")
    if way == "base exception":
        raise Own("mine")
    if way == "generator exit":
        raise GeneratorExit
    if way == "stop iteration":
        raise StopIteration
    if way == "no message":
        raise Mute
    if way == "message that is no text":
        raise Wordless
    if way == "long message":
        raise ValueError("\\x1b[31mred\\x00\\ud800 " + 1_000_000 * "long ")
    if way == "recursion":
        die(way)
"""
METHODS = (
    BEGINNING
    + '''

@dataclass(frozen=True)
class Length:
    """Keeps the longest keys."""

    way: str = ""

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=2, window=2)

    def score(self, layer):
        die(self.way)
        return layer.keys.float().norm(dim=-1)


@dataclass(frozen=True)
class Everything(Length):
    """Is shown everything, and writes into some of it."""

    reads: ClassVar[Reads] = Reads(
        queries="all", hidden_states=True, queries_before_rotary=True, output_weight=True, module=True
    )

    def score(self, layer):
        if self.way == "weights":
            layer.output_weight.mul_(2)
        elif self.way == "cos":
            layer.kwargs["position_embeddings"][0].mul_(0.5)
        elif self.way == "replaces":
            torch.nn.functional.scaled_dot_product_attention = lambda query, *rest, **more: query
        else:
            getattr(layer, self.way).mul_(0.5)
        return layer.keys.float().norm(dim=-1)


@dataclass(frozen=True)
class Even:
    """As uniform does."""

    way: str = ""
    where: str = "allocate"

    source: ClassVar[str] = "a test"
    needs: ClassVar[Needs] = Needs.ALL_SCORES

    def allocate(self, request):
        if self.where == "allocate":
            die(self.way)
        if self.way in ("scores", "protected"):
            getattr(request, self.way).zero_()
        if self.way == "argmax":
            torch.Tensor.argmax = torch.Tensor.argmin
        return torch.full(request.shape, request.budget // request.n_heads, dtype=torch.int64)

    def check(self, request):
        if self.where == "check":
            die(self.way)

    def notes(self, request, counts):
        if self.where == "notes":
            die(self.way)
        return ()
'''
)
DEATHS = {
    "exit by force": r"it tried to end the program \(os._exit\) \(hostile.py:\d+\)",
    "abort": r"it tried to end the program \(os.abort\) \(hostile.py:\d+\)",
    "sys.exit": r"it tried to end the program \(enough\) \(hostile.py:\d+\)",
    "base exception": r"Own: mine \(hostile.py:\d+\)",
    "generator exit": r"GeneratorExit \(hostile.py:\d+\)",
    "stop iteration": r"StopIteration \(hostile.py:\d+\)",
    "no message": r"Mute: its message cannot be read \(hostile.py:\d+\)",
    "message that is no text": r"Wordless: its message cannot be read \(hostile.py:\d+\)",
    "long message": r"ValueError: \\x1b\[31mred\\x00\\ud800 long .{1,300} \.\.\. \(hostile.py:\d+\)",
    "recursion": r"RecursionError: .* \(hostile.py:\d+\)",
}
WRITES = {
    "keys": "it changed the keys of layer 0",
    "values": "it changed the values of layer 0",
    "queries": "it changed the queries of layer 0",
    "hidden_states": "it changed the hidden_states of layer 0",
    "weights": "it changed the o_proj.weight of layer 0",
    "cos": "it changed the position_embeddings of layer 0",
    "replaces": "it changed torch.nn.functional.scaled_dot_product_attention",
}


def answers(database: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Text, score and kept bytes by method and sample."""
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT c.allocator, c.scorer, a.sample_id, a.text, a.score, a.kv_bytes_kept FROM answer a JOIN cell l "
        "ON l.id = a.cell_id JOIN configuration c ON c.id = l.configuration_id WHERE a.status = 'done'"
    ).fetchall()
    connection.close()
    return {row[:3]: row[3:] for row in rows}


@pytest.fixture
def hostile(site: Callable[..., None]) -> None:
    scorers = {"hostile": "Length", "writing": "Everything"}
    site("hostile", METHODS, scorers=scorers, allocators={"hostileeven": "Even"})


def options(name: str, specs: list[str]) -> list[str]:
    return [word for spec in specs for word in (name, spec)]


def failures(ended: Any) -> dict[str, str]:
    """Reason by the way that a method was told to take."""
    told = {}
    for row in ended.rows:
        arguments = row["scorer_args"] | row["allocator_args"]
        if row["error"] is not None:
            told[" ".join(filter(None, (arguments.get("way"), arguments.get("where"))))] = row["error"]
    return told


@pytest.mark.usefixtures("hostile")
def test_scorers_that_die_or_write_cost_their_own_cells(lukv_bench: Any, tiny: Path) -> None:
    base = ("run", "--model", tiny, *BASE, "--limit", "2", "--allocator", "uniform", "--scorer", "keydiff")
    assert lukv_bench(*base, "--db", "alone.db").code == 0
    asked = [f"hostile:way={way}" for way in DEATHS] + [f"writing:way={way}" for way in WRITES]
    ended = lukv_bench(*base, *options("--scorer", asked), "--db", "beside.db")
    assert ended.code == 1
    assert "Traceback" not in ended.err, ended.err[-2000:]
    told = failures(ended)
    assert set(told) == {*DEATHS, *WRITES}
    for way, pattern in DEATHS.items():
        assert re.fullmatch(pattern, told[way]), told[way]
    for way, sentence in WRITES.items():
        assert sentence in told[way]
    assert answers("beside.db") == answers("alone.db")


@pytest.mark.usefixtures("hostile")
def test_allocators_that_die_or_write_cost_their_own_cells(lukv_bench: Any, tiny: Path) -> None:
    base = ("run", "--model", tiny, *BASE, "--limit", "2", "--allocator", "adakv", "--scorer", "keydiff")
    assert lukv_bench(*base, "--db", "alone.db").code == 0
    dying = [f"hostileeven:way={way}" for way in DEATHS]
    noting = ["hostileeven:way=exit by force,where=notes", "hostileeven:way=base exception,where=notes"]
    checking = [f"hostileeven:way={way},where=check" for way in ("exit by force", "base exception", "no message")]
    writing = [f"hostileeven:way={way}" for way in ("scores", "protected", "argmax")]
    asked = options("--allocator", [*writing, *dying, *noting, *checking])
    ended = lukv_bench(*base, *asked, "--db", "beside.db", "--batch", "3")
    assert ended.code == 1
    assert "Traceback" not in ended.err, ended.err[-2000:]
    told = failures(ended)
    for way, pattern in DEATHS.items():
        assert re.fullmatch(pattern, told.pop(f"{way} allocate")), way
    for way, sentence in (
        ("scores", "it changed the request's scores"),
        ("protected", "it changed the request's protected tokens"),
        ("argmax", "it changed torch.Tensor.argmax"),
    ):
        assert sentence in told.pop(f"{way} allocate")
    assert set(told) == {"exit by force notes", "base exception notes"}
    given = answers("beside.db")
    assert {key: value for key, value in given.items() if key[0] != "hostileeven"} == answers("alone.db")
    assert {key[0] for key in given} == {"full", "uniform", "adakv", "hostileeven"}, "a check that dies says nothing"


AT_IMPORT = {
    "exits": ("os._exit(3)", "it tried to end the program"),
    "aborts": ("os.abort()", "it tried to end the program"),
    "raises": ("raise Own('mine')", "Own: mine"),
    "mutters": ("raise Mute", "its message cannot be read"),
    "shouts": ("raise ValueError('\\x1b[31m' + 10**6 * 'a')", "importing it fails with ValueError"),
    "patches": ("torch.softmax = torch.sigmoid", "importing it changes torch.softmax"),
    "settles": ("torch.set_default_dtype(torch.float64)", "importing it changes torch's default dtype"),
    "an object": ("DEFAULT = object()", "its default of x cannot be stored"),
    "a loop": ("DEFAULT = []; DEFAULT.append(DEFAULT)", "its default of x cannot be stored"),
    "bytes": ("DEFAULT = b'\\xff\\xfe'", "its default of x cannot be stored"),
    "a bad factory": ("DEFAULT = property(lambda self: die('base exception'))", "its default of x cannot be stored"),
}
FINE = {"a set": ("DEFAULT = {'b', 'a'}", ["a", "b"]), "nan": ("DEFAULT = float('nan')", "nan")}
CLASS = '''

@dataclass(frozen=True)
class Length:
    """Keeps the longest keys."""

    x: object = field(default_factory=lambda: globals().get("DEFAULT"))

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=2, window=2)

    def score(self, layer):
        return layer.keys.float().norm(dim=-1)
'''


def test_plugins_that_break_on_import_or_by_their_defaults_are_listed_and_disturb_nothing(
    site: Callable[..., None], lukv_bench: Any, refused: Callable[..., str], tiny: Path
) -> None:
    names = {}
    for number, (name, (line, _)) in enumerate((AT_IMPORT | FINE).items()):
        names[name] = f"h{number}"
        site(f"atimport{number}", f"{BEGINNING}\n{line}\n{CLASS}", scorers={f"h{number}": "Length"})
    listed = lukv_bench("list", "scorers", "--json")
    assert listed.code == 0
    rows = {row["name"]: row for row in listed.rows}
    assert rows["keydiff"]["broken"] is None
    for name, (_, reason) in AT_IMPORT.items():
        assert reason in rows[names[name]]["broken"], name
        assert len(rows[names[name]]["broken"]) < 600
        assert rows[names[name]]["broken"].isprintable()
    for name, (_, shown) in FINE.items():
        assert rows[names[name]]["broken"] is None
        assert rows[names[name]]["arguments"][0]["default"] == shown
    assert lukv_bench("list", "scorers").code == 0
    run = ("run", "--model", tiny, *BASE, "--allocator", "uniform")
    refused([*run, "--scorer", names["exits"]], "is broken", "it tried to end the program")
    refused([*run, "--scorer", names["an object"]], "is broken", "its default of x cannot be stored")
    assert lukv_bench(*run, "--scorer", names["a set"], "--limit", "1", "--db", "out.db").code == 0


def test_every_installed_plugin_leaves_the_other_answers_alone(
    site: Callable[..., None], home: Path, lukv_bench: Any, tiny: Path
) -> None:
    """The built-in ones and the stranger's package, all in one run beside two baselines."""
    shutil.copytree(Path(__file__).parents[3] / "plugin_package" / "stranger", home / "site" / "stranger")
    site(
        "strangerpoints",
        "from stranger.headshare import HeadShare\nfrom stranger.lastlook import LastLook\n",
        scorers={"lastlook": "LastLook"},
        allocators={"headshare": "HeadShare"},
    )
    base = ("run", "--model", tiny, *BASE, "--limit", "1", "--scorer", "keydiff")
    assert lukv_bench(*base, "--allocator", "uniform", "--db", "alone.db").code == 0
    held = {"critical": "critical:of=snapkv", "shuffled": "shuffled:of=adakv"}
    scorers = [held.get(row["name"], row["name"]) for row in lukv_bench("list", "scorers", "--json").rows]
    allocators = [held.get(row["name"], row["name"]) for row in lukv_bench("list", "allocators", "--json").rows]
    asked = (*options("--allocator", allocators), "--db", "beside.db")
    assert {"lastlook", "headshare"} <= {*scorers, *allocators}
    ended = lukv_bench(*base, *asked)
    assert ended.code == 0, ended.err[-2000:]
    ended = lukv_bench(*base, "--allocator", "uniform", *options("--scorer", scorers), "--db", "scorers.db")
    assert ended.code == 0, ended.err[-2000:]
    alone = answers("alone.db")
    for database in ("beside.db", "scorers.db"):
        given = answers(database)
        assert {key: given[key] for key in alone} == alone
    for module in [name for name in sys.modules if name.partition(".")[0] == "stranger"]:
        del sys.modules[module]
