"""`list`, `doctor`, `profile`, help and version; what a shell sees."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lukv_bench import __version__

SHORT = ("--tasks", "niah_single_1", "--length", "360")

COMMANDS = ("run", "results", "recommend", "profile", "inspect", "estimate", "list", "doctor", "tasks", "lm-eval")
FIELDS = {"name", "summary", "arguments", "source", "origin", "broken"}
NEEDLES = {
    *("niah_single_1", "niah_single_2", "niah_single_3"),
    *("niah_multikey_1", "niah_multikey_2", "niah_multikey_3", "niah_multivalue", "niah_multiquery"),
}


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=lambda c: "-".join(c) or "program")
def test_help_is_there(lukv_bench: Any, command: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        ended = lukv_bench(*command, option)
        assert (ended.code, ended.err) == (0, "")
        assert "Usage: " in ended.out
        for name in COMMANDS if not command else ("--help",):
            assert name in ended.out


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "run",
            "--allocator --scorer --ratio --keep-tokens --model --tasks --length --limit --seed --protocol --sink "
            "--window --db --device --dtype --no-baselines --data-dir --samples --no-truncate --max-length --schedule",
        ),
        ("results", "--db --json --csv"),
        ("profile", "--model --scorer --text --questions --seed --device --dtype --out"),
        (
            "inspect",
            "--model --allocator --scorer --ratio --keep-tokens --context --sink --window --seed --out --schedule",
        ),
        ("list", "--json"),
    ],
)
def test_every_option_that_others_build_on_is_there(lukv_bench: Any, command: str, options: str) -> None:
    shown = lukv_bench(command, "--help").out
    assert [option for option in options.split() if option not in shown] == []


def test_version(lukv_bench: Any) -> None:
    assert lukv_bench("--version").out.strip() == __version__


LATER = [["lm-eval", "--help"], ["tasks", "export", "--help"], ["tasks", "score", "--help"]]
HEAVY = ("torch", "transformers", "pandas", "sqlalchemy", "numpy", "scipy", "lm_eval", "datasets", "alembic")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["results", "--help"], ["list", "tasks"], *LATER])
def test_help_and_light_lists_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from lukv_bench.bench.cli import app\n"
        f"sys.argv = ['lukv-bench', *{arguments!r}]\n"
        "app._code()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "[]"
    assert ended.stdout


@pytest.mark.parametrize("kind", ["allocators", "scorers", "tasks", "models"])
def test_list_has_one_schema(lukv_bench: Any, kind: str) -> None:
    ended = lukv_bench("list", kind, "--json")
    assert (ended.code, ended.err) == (0, "")
    for row in ended.rows:
        assert set(row) >= FIELDS
        assert all(isinstance(row[name], str) and row[name] for name in ("name", "summary", "source", "origin")), row
        assert isinstance(row["arguments"], list)
        assert row["broken"] is None or isinstance(row["broken"], str)
    plain = lukv_bench("list", kind)
    assert plain.code == 0
    assert {row["name"] for row in ended.rows} <= {line.split()[0] for line in plain.out.splitlines() if line.strip()}


def test_list_names_what_there_is(lukv_bench: Any) -> None:
    def names(kind: str) -> set[str]:
        return {row["name"] for row in lukv_bench("list", kind, "--json").rows if not row["broken"]}

    assert names("allocators") >= {"full", "uniform", "lukv"}
    assert names("scorers") >= {"keydiff"}
    assert names("tasks") >= NEEDLES
    assert names("models") >= {"smollm2-135m"}


def test_list_shows_lukvs_argument(lukv_bench: Any) -> None:
    (row,) = [row for row in lukv_bench("list", "allocators", "--json").rows if row["name"] == "lukv"]
    assert row["arguments"] == [{"name": "profile", "type": "str", "default": ""}]
    assert "2602.08585" in row["source"]


def test_a_models_path_is_there_once_it_is_fetched(
    lukv_bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = [row for row in lukv_bench("list", "models", "--json").rows if row["name"] == "smollm2-135m"]
    assert Path(row["path"]).is_dir()
    assert (Path(row["path"]) / "config.json").is_file()
    assert Path(row["path"]).is_absolute()
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(home / "empty"))
    (row,) = [row for row in lukv_bench("list", "models", "--json").rows if row["name"] == "smollm2-135m"]
    assert row["path"] is None
    assert not (home / "empty").exists()


def test_a_models_path_is_absolute_wherever_the_cache_is(
    lukv_bench: Any, real_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("here/models").mkdir(parents=True)
    Path("here/models/smollm2-135m").symlink_to(real_model)
    monkeypatch.setenv("LUKV_BENCH_CACHE", "here")
    (row,) = [row for row in lukv_bench("list", "models", "--json").rows if row["name"] == "smollm2-135m"]
    assert Path(row["path"]).is_absolute()


def test_doctor_is_well_on_this_machine(lukv_bench: Any) -> None:
    ended = lukv_bench("doctor", "--db", "out.db")
    assert (ended.code, ended.err) == (0, "")
    for word in ("torch", "transformers", "lm-eval", "cpu", "smollm2-135m", "lukv", "keydiff", "database", "out.db"):
        assert word in ended.out, word
    assert "broken" not in ended.out
    assert not Path("out.db").exists()


def test_doctor_says_what_is_missing_and_how_to_get_it(
    lukv_bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(home / "empty"))
    ended = lukv_bench("doctor")
    assert ended.code == 0
    lines = ended.out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "smollm2-135m" in line and line.startswith("missing")]
    assert lines[at + 1].strip().startswith("->")
    assert not (home / "empty").exists()


def test_doctor_finds_a_database_that_cannot_be_used(lukv_bench: Any) -> None:
    Path("file").write_text("no database " * 100)
    for url in ("file", "file/out.db", "."):
        ended = lukv_bench("doctor", "--db", url)
        assert ended.code == 1
        assert any(line.startswith("broken") and "database" in line for line in ended.out.splitlines())


def test_doctor_finds_a_cache_folder_that_cannot_be_used(
    lukv_bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(Path("file/cache").absolute()))
    ended = lukv_bench("doctor")
    assert ended.code == 1
    assert any(line.startswith("broken") and "cache" in line for line in ended.out.splitlines())


def test_a_cache_folder_that_cannot_be_used_is_one_sentence_before_the_calibration(
    refused: Any, roomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile is made by itself, and could not be kept."""
    from lukv_bench.bench.profiles import obtain as profiles

    Path("file").touch()
    monkeypatch.setenv("LUKV_BENCH_CACHE", str(Path("file/cache").absolute()))
    monkeypatch.setattr(profiles, "calibrate", lambda *_: pytest.fail("minutes of work for nothing"))
    base = (
        "run",
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
    refused(base, "cache")


def test_run_makes_a_missing_profile_once_and_keeps_it(lukv_bench: Any, roomy: Path, home: Path) -> None:
    base = (
        "run",
        "--model",
        roomy,
        *SHORT,
        "--limit",
        "1",
        "--ratio",
        "0.5",
        "--db",
        "out.db",
        "--json",
    )
    first = lukv_bench(*base)
    assert first.code == 0, first.err
    assert any("calibrating" in line for line in first.progress)
    (file,) = (home / "cache" / "profiles").glob("*.safetensors")
    second = lukv_bench(*base)
    assert not any("calibrating" in line for line in second.progress)
    assert first.rows == second.rows
    (row,) = [row for row in second.rows if row["allocator"] == "lukv"]
    named = lukv_bench(*base, "--allocator", f"lukv:profile={file}", "--no-baselines")
    assert [row["cell"] for row in named.rows] == [row["cell"]]
    file.write_bytes(file.read_bytes()[:-1])
    spoilt = lukv_bench(*base)
    assert spoilt.code == 0
    assert any(str(file) in sentence for sentence in spoilt.sentences), "told, and made anew"
    assert any("calibrating" in line for line in spoilt.progress)
    assert spoilt.rows == first.rows
    assert lukv_bench(*base).rows == first.rows


def test_a_profile_says_how_it_was_made(profile: Path, tiny: Path, texts: tuple[Path, Path]) -> None:
    with safe_open(profile, framework="pt") as file:
        header = file.metadata()
        curve = file.get_tensor("curve")
    assert curve.shape == (99, 2, 2)
    assert bool(((curve >= 0) & (curve <= 1)).all())
    for target in range(99):
        assert abs(float(curve[target].mean()) - (1 - (target + 1) / 100)) < 2e-3
    made = json.loads(header["made"])
    assert json.loads(header["notes"])["model"] == tiny.name, "and not its folder"
    assert made["scorer"] == "keydiff"
    assert (made["sink"], made["window"], made["seed"]) == (4, 1, 0)
    assert [document["questions"] for document in made["documents"]] == [2]
    readable = json.loads(Path(f"{profile}.json").read_text())
    assert readable["made"] == made
    assert readable["hash"] == header["hash"]


def test_the_same_profile_command_gives_the_same_content_and_another_seed_another(
    lukv_bench: Any, profile: Path, tiny: Path, texts: tuple[Path, Path]
) -> None:
    base = ("profile", "--model", tiny, "--text", texts[0], "--questions", texts[1])
    for out, seed in (("same", 0), ("other", 1)):
        assert lukv_bench(*base, "--out", out, "--seed", seed).code == 0

    def content(path: Path) -> str:
        with safe_open(path, framework="pt") as file:
            return str(file.metadata()["hash"])

    assert content(Path("same")) == content(profile) != content(Path("other"))


def test_a_command_without_arguments_shows_help(lukv_bench: Any) -> None:
    ended = lukv_bench()
    assert "Usage: " in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_a_reader_that_goes_away_is_no_traceback(start: Any) -> None:
    process = start("list", "tasks", "--json")
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in err
    assert "Exception" not in err
    assert process.returncode != 1, "1 says that a cell failed"
