"""Bad input: exit code 2, one sentence on stderr, nothing on stdout, nothing written."""

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHORT = ("--tasks", "niah_single_1", "--length", "360")

Refused = Callable[..., str]
BASE = ("--allocator", "uniform", "--no-baselines", *SHORT, "--limit", "1", "--db", "out.db")


@pytest.fixture
def run_refused(refused: Refused, tiny: Path, defaults: Any) -> Callable[..., str]:
    """`run` on the tiny model with good options, and bad ones in place of them."""
    base = ("--model", tiny, "--allocator", "uniform", *SHORT, "--limit", "1", "--db", "out.db")
    return lambda arguments, *words: refused(["run", "--no-baselines", *defaults(base, arguments), *arguments], *words)


def case(name: str, arguments: str | list[str], *words: str) -> Any:
    given = arguments.split() if isinstance(arguments, str) else arguments
    return pytest.param(given, words, id=name.replace(" ", "-"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        case("unknown allocator", "--allocator unifrom", "allocator", "'unifrom'", "did you mean 'uniform'"),
        case("unknown allocator far from all", "--allocator zzz", "'zzz'", "full", "lukv", "uniform"),
        case("empty allocator", ["--allocator", ""], "allocator"),
        case("unknown scorer", "--scorer keydif", "scorer", "'keydif'", "did you mean 'keydiff'"),
        case("unknown task", "--tasks niah_singel_1", "niah_singel_1", "did you mean 'niah_single_1'"),
        case("one unknown task of two", "--tasks niah_single_1,ruler_vt", "ruler_vt"),
        case("unknown argument", "--allocator lukv:profil=x", "'profil'", "lukv", "did you mean 'profile'"),
        case("argument of a plugin that takes none", "--allocator uniform:n=3", "'n'", "uniform"),
        case("argument without a value", "--allocator lukv:profile", "key=value", "'profile'"),
        case("no task", ["--tasks", ""], "--tasks"),
        case("only a comma for tasks", "--tasks ,", "--tasks"),
        case("no length", ["--length", ""], "--length"),
        case("only a comma for lengths", "--length ,", "--length"),
        case("length that is a word", "--length abc", "--length", "abc"),
        case("one length that is a word", "--length 300,abc", "--length", "abc"),
        case("length with a fraction", "--length 300.5", "--length", "300.5"),
        case("length zero", "--length 0", "--length", "0"),
        case("negative length", "--length -300", "--length", "-300"),
        case("limit zero", "--limit 0", "--limit", "0"),
        case("negative limit", "--limit -1", "--limit", "-1"),
        case("limit that is a word", "--limit abc", "--limit", "abc"),
        case("seed that is a word", "--seed abc", "--seed", "abc"),
        case("seed beyond any integer", "--seed 99999999999999999999", "--seed"),
        case("ratio one", "--ratio 1.0", "--ratio", "1.0"),
        case("ratio above one", "--ratio 80", "--ratio", "80"),
        case("negative ratio", "--ratio -0.1", "--ratio", "-0.1"),
        case("ratio that is a word", "--ratio abc", "--ratio", "abc"),
        case("ratio nan", "--ratio nan", "--ratio", "nan"),
        case("ratio infinite", "--ratio inf", "--ratio", "inf"),
        case("empty ratio", ["--ratio", ""], "--ratio"),
        case("one bad ratio of two", "--ratio 0.5 --ratio 1", "--ratio", "1"),
        case("ratio and keep-tokens", "--ratio 0.8 --keep-tokens 100", "--ratio", "--keep-tokens"),
        case("keep-tokens zero", "--keep-tokens 0", "--keep-tokens", "0"),
        case("negative keep-tokens", "--keep-tokens -5", "--keep-tokens", "-5"),
        case("keep-tokens below the protected", "--keep-tokens 3", "3", "5 protected"),
        case("ratio below the protected", "--ratio 0.999", "0.999", "5 protected"),
        case("window larger than the budget", "--ratio 0.5 --window 150", "protected", "--window"),
        case("no schedule", "--schedule blocks", "--schedule", "block:128", "blocks"),
        case("empty blocks", "--schedule block:0", "--schedule", "block:0"),
        case("scores before there are any", "--schedule block:64 --allocator adakv", "adakv", "--schedule one-shot"),
        case("queries of other blocks", "--schedule block:64 --scorer h2o", "h2o", "whole context", "one-shot"),
        case("more queries than a block", "--schedule block:16 --scorer snapkv", "snapkv", "32 queries", "one-shot"),
        case("hidden states", "--schedule block:9 --scorer expected_attention", "rotary embedding", "one-shot"),
        case("negative sink", "--sink -1", "--sink", "-1"),
        case("negative window", "--window -1", "--window", "-1"),
        case("unknown protocol", "--protocol foo", "--protocol", "agnostic", "aware", "foo"),
        case("unknown dtype", "--dtype float8", "float8", "float32", "bfloat16", "float16"),
        case("device that no machine has", "--device foo", "foo", "cpu"),
        case("empty device", ["--device", ""], "device"),
        case("device that computes nothing", "--device meta", "meta"),
        case("device of another maker", "--device hpu", "hpu", "cpu"),
        case("longer than the window", "--length 4000", "4000", "2048"),
        case("one length longer than the window", "--length 360,2049", "2049", "2048"),
        case("empty database name", ["--db", ""], "--db"),
        case("kind of database that is none", "--db sqlte:///x.db", "sqlte", "sqlite"),
        case("folder as a database", "--db .", "folder"),
        case("unknown option", "--ration 0.8", "--ration", "--ratio"),
        case("option without a value", "--ratio", "--ratio"),
        case("stray word", "0.8", "0.8"),
    ],
)  # fmt: skip
def test_run_refuses(run_refused: Callable[..., str], arguments: list[str], words: tuple[str, ...]) -> None:
    run_refused(arguments, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        case("unknown command", "runn", "runn", "run"),
        case("unknown kind of list", "list scorer", "scorer", "did you mean 'scorers'"),
        case("list of nothing", "list", "KIND"),
        case("results that are not there", "results --db none.db --json", "none.db", "lukv-bench run"),
        case("results in two forms", "results --json --csv", "--json", "--csv"),
        case("results in a folder", "results --db .", "folder"),
        case("profile without a place", "profile --scorer keydiff", "--out"),
        case("profile of an unknown scorer", "profile --scorer keydif --out p", "did you mean 'keydiff'"),
        case("profile of one unknown scorer of two", "profile --scorer keydiff,snap --out p", "snap"),
        case("profile of no scorer", ["profile", "--scorer", "", "--out", "p"], "--scorer"),
        case("profile in a folder", "profile --out .", "--out", "folder"),
        case("inspect without a text", "inspect --out f.npz", "--context"),
        case("inspect of a missing text", "inspect --context none.txt --out f.npz", "--context", "none.txt"),
        case("option that is none", "doctor --verbose", "--verbose"),
    ],
)
def test_other_commands_refuse(refused: Refused, arguments: list[str], words: tuple[str, ...]) -> None:
    refused(arguments, *words)


@pytest.mark.parametrize("device", ["cuda:99", "xpu:7"])
def test_run_refuses_a_gpu_that_is_not_there(run_refused: Callable[..., str], device: str) -> None:
    run_refused(["--device", device], repr(device), "cpu")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smollm2-135n", ("smollm2-135n", "did you mean")),
        ("no_such_folder", ("no_such_folder", "smollm2-135m")),
        ("./no/such/folder", ("./no/such/folder",)),
        ("nobody/no-such-model", ("nobody/no-such-model", "hub")),
        ("no body/m@del", ("no body/m@del",)),
        ("", ("model",)),
        (".", ("config.json",)),
    ],
)
def test_run_refuses_an_unknown_model(refused: Refused, name: str, words: tuple[str, ...]) -> None:
    refused(["run", *BASE, "--model", name], *words)


def test_length_below_a_tasks_minimum_names_one_that_works(
    run_refused: Callable[..., str], lukv_bench: Any, tiny: Path
) -> None:
    short = ["--tasks", "niah_multikey_2", "--limit", "3", "--ratio", "0.5"]
    sentence = run_refused([*short, "--length", "40"], "niah_multikey_2", "40")
    least = max(int(number) for number in re.findall(r"\d{2,}", sentence))
    assert least > 40
    alone = ["--allocator", "uniform", "--no-baselines", "--db", "out.db"]
    assert lukv_bench("run", "--model", tiny, *alone, *short, "--length", least).code == 0


def test_keep_tokens_beyond_any_context_is_no_mistake_of_the_database(lukv_bench: Any, tiny: Path) -> None:
    ended = lukv_bench("run", "--model", tiny, *BASE, "--keep-tokens", 10**20, "--json")
    assert ended.code in (0, 2)
    assert "Traceback" not in ended.err
    if ended.code == 0:
        assert ended.rows[0]["kv_tokens_kept"] == ended.rows[0]["kv_tokens_full"]


def test_lukv_refuses_to_prune_more_than_its_profile_knows(run_refused: Callable[..., str], profile: Path) -> None:
    lukv = ["--allocator", f"lukv:profile={profile}"]
    run_refused([*lukv, "--length", "520", "--ratio", "0.98"], "99%", "keep more")


def test_lukv_refuses_that_before_it_spends_minutes_on_a_profile(refused: Refused, roomy: Path) -> None:
    task = ["--tasks", "niah_single_1", "--length", "520", "--limit", "1", "--db", "out.db"]
    refused(["run", "--model", roomy, *task, "--allocator", "lukv", "--no-baselines", "--ratio", "0.98"], "99%")


def test_a_bad_profile_is_seen_before_another_one_is_made(refused: Refused, roomy: Path) -> None:
    Path("junk").write_bytes(b"junk")
    lukv = ["--allocator", "lukv", "--allocator", "lukv:profile=junk"]
    refused(["run", "--model", roomy, *BASE, *lukv, "--ratio", "0.5"], "junk")


def test_run_refuses_a_profile_of_another_model(run_refused: Callable[..., str], other_profile: Path) -> None:
    run_refused(["--allocator", f"lukv:profile={other_profile}"], "another model", str(other_profile))


def test_inspect_refuses_a_profile_of_another_model(
    refused: Refused, tiny: Path, other_profile: Path, texts: tuple[Path, Path]
) -> None:
    lukv = ["--allocator", f"lukv:profile={other_profile}", "--ratio", "0.5"]
    refused(["inspect", "--model", tiny, "--context", texts[0], "--out", "f.npz", *lukv], "another model")


def test_run_refuses_a_file_that_is_no_profile(run_refused: Callable[..., str], tiny: Path, profile: Path) -> None:
    Path("empty").touch()
    Path("junk").write_bytes(os.urandom(400))
    for path in ("missing", "empty", "junk", tiny, tiny / "model.safetensors", f"{profile}.json"):
        run_refused(["--allocator", f"lukv:profile={path}"], str(path), "profile")


def test_run_refuses_a_profile_with_one_changed_byte(run_refused: Callable[..., str], profile: Path) -> None:
    content = bytearray(profile.read_bytes())
    content[-5] ^= 1
    Path("changed").write_bytes(content)
    run_refused(["--allocator", "lukv:profile=changed"], "changed", "corrupt")


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE run (id INTEGER)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("command", ["run", "results"])
def test_a_file_that_is_no_database_of_ours_is_refused_and_left_alone(
    refused: Refused, tiny: Path, command: str
) -> None:
    Path("text.db").write_text("no database at all, just words, but a good number of them\n" * 20)
    _foreign(Path("foreign.db"))
    full = ["--model", tiny, *BASE[:-2]] if command == "run" else []
    refused([command, *full, "--db", "text.db"], "text.db", "database")
    refused([command, *full, "--db", "foreign.db"], "foreign.db")
    refused([command, *full, "--db", "text.db/results.db"], "text.db")


def test_profile_refuses_a_place_below_a_file(refused: Refused, tiny: Path) -> None:
    Path("file").touch()
    refused(["profile", "--model", tiny, "--out", "file/p.safetensors"], "--out", "file")


def test_inspect_refuses_a_place_below_a_file(refused: Refused, tiny: Path, texts: tuple[Path, Path]) -> None:
    Path("file").touch()
    refused(["inspect", "--model", tiny, "--context", texts[0], "--out", "file/f.npz"], "--out", "file")


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\xff\xfe broken"], ids=["empty", "blank", "binary"])
def test_inspect_refuses_a_context_without_text(refused: Refused, tiny: Path, content: bytes) -> None:
    Path("context.txt").write_bytes(content)
    inspect = ["inspect", "--model", tiny, "--allocator", "uniform", "--ratio", "0.5", "--out", "f.npz"]
    refused([*inspect, "--context", "context.txt"], "--context", "context.txt")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ratio", "0.5", "--ratio", "0.6"], ("--ratio",)),
        (["--ratio", "0.5", "--keep-tokens", "40"], ("--ratio", "--keep-tokens")),
        (["--keep-tokens", "3"], ("3", "protected")),
        (["--ratio", "2"], ("--ratio", "2")),
        (["--sink", "-2"], ("--sink", "-2")),
        (["--allocator", "lukvv"], ("did you mean 'lukv'",)),
        (["--scorer", "keydif"], ("did you mean 'keydiff'",)),
        (["--context", "long.txt"], ("2048",)),
        (["--device", "foo"], ("foo",)),
        (["--dtype", "int8"], ("int8",)),
    ],
)
def test_inspect_refuses(
    refused: Refused, tiny: Path, texts: tuple[Path, Path], defaults: Any, arguments: list[str], words: tuple[str, ...]
) -> None:
    Path("long.txt").write_text("word " * 2100)
    inspect = ("--model", tiny, "--allocator", "uniform", "--context", texts[0], "--out", "f.npz")
    refused(["inspect", *defaults(inspect, arguments), *arguments], *words)


def test_inspect_refuses_a_text_of_megabytes_before_it_cuts_it_into_tokens(refused: Refused, tiny: Path) -> None:
    Path("huge.txt").write_text("word " * 400_000)
    sentence = refused(["inspect", "--model", tiny, "--context", "huge.txt", "--ratio", "0.5"], "characters", "2048")
    assert "1999999" in sentence or "2000000" in sentence


def test_profile_refuses_texts_and_questions_that_do_not_pair(
    refused: Refused, tiny: Path, texts: tuple[Path, Path]
) -> None:
    text, questions = texts
    profile = ["profile", "--model", tiny, "--out", "p.safetensors"]
    refused([*profile, "--text", text], "--text", "--questions")
    refused([*profile, "--questions", questions], "--text", "--questions")
    refused([*profile, "--text", text, "--text", text, "--questions", questions], "pairs")


def test_profile_refuses_texts_that_serve_nothing(refused: Refused, tiny: Path, texts: tuple[Path, Path]) -> None:
    Path("blank.txt").write_text("\n \n")
    Path("short.txt").write_text("Too short to rank.")
    profile = ["profile", "--model", tiny, "--out", "p.safetensors", "--text"]
    refused([*profile, "missing.txt", "--questions", texts[1]], "--text", "missing.txt")
    refused([*profile, texts[0], "--questions", "blank.txt"], "--questions", "blank.txt")
    refused([*profile, "short.txt", "--questions", texts[1]], "short.txt", "too few")


def test_a_real_process_says_one_sentence_too(program: Any, copy_of: Callable[[str], Path]) -> None:
    """What libraries say by themselves on stderr is seen only here."""
    file = copy_of("cut") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    ended = program("run", *BASE, "--model", "cut")
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.sentences) == 1, ended.sentences
    assert not Path("out.db").exists()


def test_a_mistyped_option_of_the_real_program_is_one_sentence(program: Any) -> None:
    ended = program("run", "--ration", "0.8")
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.sentences) == 1, ended.sentences
    assert "--ration" in ended.sentences[0]


def test_an_unreachable_hub_is_one_sentence(program: Any) -> None:
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    ended = program("run", *BASE, "--model", "nobody/no-such-model", env=offline)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.sentences) == 1, ended.sentences
    assert "nobody/no-such-model" in ended.sentences[0]
